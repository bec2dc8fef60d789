package capture

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sony/gobreaker/v2"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// Marks are what is drawn into pictures.
type Marks = wire.Marks

// Box is a part of the picture with a label.
type Box = wire.Box

// Capture is the probe's own session of a stream, opened when it is needed.
// Its methods may be called from several goroutines.
type Capture struct {
	o       Options
	src     source.Source
	refused error // why the source is not played
	redact  redactor
	started time.Time
	exposed bool          // it was said that the child is not kept from secrets
	changed chan struct{} // has a token when what is wanted changed

	mu      sync.Mutex
	now     Snapshot
	playing bool // the present session has played
	pace    pace
	// errorsBefore is Errors when a frame was checked last.
	errorsBefore uint64
	// lostRow is the uppermost row of macroblocks in which the decoder lost its thread
	// since then; 0 where that is the first, or not known.
	lostRow  int
	newest   wire.Frame // with a picture
	key      wire.Frame // the newest key frame, if there was one in this session
	memory   *wire.Memory
	pictures bool
	alert    bool
	quietAt  time.Time // when the last alert ended
	marks    Marks
	marked   uint64 // counts changes of marks

	reading  sync.RWMutex // held while memory is read
	unmapped bool
	picture  []byte // what Picture returned last
}

// New checks the options. A source that is not allowed is no error: it is
// never opened, and the state says why.
func New(o Options) (*Capture, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	c := &Capture{o: o, redact: newRedactor(o.Source), changed: make(chan struct{}, 1), now: Snapshot{State: Closed}}
	if c.src, c.refused = source.Parse(o.Source, o.Local); c.src.Kind == source.File {
		path, err := filepath.Abs(c.src.Path) // the child has another working directory
		if err != nil {
			return nil, fmt.Errorf("the source's path: %w", err)
		}
		c.o.Source = path
	}
	return c, nil
}

// WantPictures says whether somebody looks. While that is so, the stream is
// open and pictures are made.
func (c *Capture) WantPictures(want bool) {
	c.mu.Lock()
	c.pictures = want
	c.mu.Unlock()
	c.kick()
}

// Alert says whether an alert is on. While that is so and Quiet after it, the
// stream is open.
func (c *Capture) Alert(on bool) {
	c.mu.Lock()
	if c.alert && !on {
		c.quietAt = time.Now()
	}
	c.alert = on
	c.mu.Unlock()
	c.kick()
}

// Mark says what to draw into pictures from now on.
func (c *Capture) Mark(m Marks) {
	c.mu.Lock()
	c.marks = m
	c.marked++
	c.mu.Unlock()
	c.kick()
}

func (c *Capture) kick() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// wanted says whether the stream should be open.
func (c *Capture) wanted(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.o.Mode == Always, c.pictures, c.alert:
		return true
	case !c.quietAt.IsZero() && now.Sub(c.quietAt) < c.o.Quiet:
		return true
	case c.o.Mode == Sampled:
		return now.Sub(c.started)%c.o.SampleEvery < c.o.SampleFor
	}
	return false
}

func (c *Capture) set(state State, cause Cause, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.State, c.now.Cause, c.now.Why = state, cause, why
}

// Run plays the stream when it is wanted, until ctx ends. It owns the child and
// all goroutines, and is called once. The error is nil after ctx ended.
func (c *Capture) Run(ctx context.Context) error {
	c.started = time.Now()
	if c.refused != nil {
		c.set(Absent, Refused, c.refused.Error())
		<-ctx.Done()
		return nil
	}
	if _, err := exec.LookPath(c.o.Worker); err != nil || c.o.Worker == "" {
		c.set(Absent, NoCause, "pictures are not available: there is no capture program here")
		<-ctx.Done()
		return nil
	}
	memory, err := wire.NewMemory()
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.memory = memory
	c.mu.Unlock()
	defer func() {
		c.reading.Lock()
		c.unmapped = true
		c.reading.Unlock()
		memory.Close()
	}()
	c.sessions(ctx)
	c.set(Closed, NoCause, "")
	return nil
}

// errFailed marks a session for the circuit breaker; why is in its ending.
var errFailed = errors.New("the session failed")

// soundAfter is how long a session must have played for its failure not to add
// to those before it.
const soundAfter = 10 * time.Second

func (c *Capture) sessions(ctx context.Context) {
	pause := &backoff.ExponentialBackOff{
		InitialInterval: c.o.RetryFrom, MaxInterval: c.o.RetryTo,
		Multiplier: 2, RandomizationFactor: 0.3,
	}
	pause.Reset()
	breaker := gobreaker.NewCircuitBreaker[ending](gobreaker.Settings{
		Timeout:     c.o.BreakFor,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= uint32(c.o.BreakAfter) },
	})
	for c.sleep(ctx, nil, func(now time.Time) bool { return c.wanted(now) }) {
		end, _ := breaker.Execute(func() (ending, error) {
			end := c.session(ctx)
			if end.failed && end.played < soundAfter {
				return end, errFailed
			}
			pause.Reset()
			return end, nil
		})
		switch {
		case ctx.Err() != nil:
			return
		case end.over:
			// A file is played once, each time that it is wanted anew.
			c.set(Closed, end.cause, end.why)
			if !c.sleep(ctx, nil, func(now time.Time) bool { return !c.wanted(now) }) {
				return
			}
			continue
		case !end.failed:
			c.set(Closed, NoCause, "")
			continue
		}
		c.o.Log.Warn("the capture failed", "source", Mask(c.o.Source), "cause", end.cause, "why", end.why)
		wait := pause.NextBackOff()
		why := end.why
		if end.cause == Credentials || end.cause == Refused {
			// Nothing changes by itself, and cameras lock out who tries too often.
			wait = c.o.BreakFor
		}
		if breaker.State() == gobreaker.StateOpen {
			wait = c.o.BreakFor + time.Millisecond
			why = fmt.Sprintf("%s; no try for %v after %d that failed", end.why, c.o.BreakFor, c.o.BreakAfter)
		}
		c.set(Waiting, end.cause, why)
		// Who does not need the stream any more does not see it waiting.
		timer := time.NewTimer(wait)
		waited := c.sleep(ctx, timer.C, func(now time.Time) bool { return false })
		timer.Stop()
		if !waited {
			return
		}
		if !c.wanted(time.Now()) {
			c.set(Closed, end.cause, end.why)
		}
	}
}

// sleep waits until done, or the timer if there is one; it is false when ctx
// ended.
func (c *Capture) sleep(ctx context.Context, timer <-chan time.Time, done func(time.Time) bool) bool {
	// Quiet and Sampled pass by without anybody calling.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done(time.Now()) {
		select {
		case <-ctx.Done():
			return false
		case <-timer:
			return true
		case <-c.changed:
		case <-tick.C:
		}
	}
	return ctx.Err() == nil
}
