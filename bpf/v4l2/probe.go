package v4l2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/internal/kernel"
	"github.com/debugsidecar/debugsidecar/bpf/netns"
)

const what = "frames of V4L2"

// Options of Open. The zero value reports the queues that tasks of the caller's
// network namespace read.
type Options struct {
	// Target says whose tasks. Pods with hostNetwork take a control group.
	Target bpf.Target
	// Poll is how often the probe looks for the drivers' modules while they are
	// not there. Default 2 s.
	Poll time.Duration
}

// Queue is the buffers of one open capture device, since its figures began: at
// the first buffer, or when a task of the target took over from another.
type Queue struct {
	// ID tells queues apart, as long as they live.
	ID uint64
	// Minor is the device's minor number: /sys/dev/char/81:MINOR.
	Minor int
	// Frames are complete and good, Errors complete and marked as broken.
	Frames, Errors uint64
	// Lost is frames that the driver skipped, in Gaps places.
	Gaps, Lost uint64
	// Flushed buffers were given back at STREAMOFF; Restarts is how often a
	// stream began again.
	Flushed, Restarts uint64
	// Dequeued buffers were taken, the broken ones among them. The difference
	// waits for the program, or was dropped at STREAMOFF.
	Dequeued uint64
	// Last is when a buffer was completed, LastDequeued when one was taken.
	Last, LastDequeued clock.Ktime
}

// Kind is what an Event tells of.
type Kind uint32

const (
	// Gap is frames that were skipped.
	Gap Kind = 1
	// Error is a frame that is marked as broken.
	Error Kind = 2
)

// String returns gap or error.
func (k Kind) String() string {
	if k == Error {
		return "error"
	}
	return "gap"
}

// Event is a loss as it happens.
type Event struct {
	Ktime clock.Ktime
	Queue uint64
	Minor int
	Kind  Kind
	// Sequence is that of the first frame that is missing, or of the broken one.
	Sequence uint32
	Count    int
}

// Stats is what the probe could not do. All are 0 in good times.
type Stats struct {
	// OverflowedBuffers are in no queue's figures: 256 were known already.
	OverflowedBuffers uint64
	// LostEvents did not reach the reader: the ring was full.
	LostEvents uint64
}

// Probe watches capture until it is closed. Its methods may be called from
// several goroutines at once.
type Probe struct {
	options Options
	done    chan struct{} // closed by Close
	tried   chan struct{} // closed by the goroutine that waits for modules

	mu     sync.Mutex
	closed bool
	source *source // nil until the modules are there
	wait   error   // why it is nil
	ready  chan struct{}
}

// Open starts watching, or waiting for something to watch. An
// *bpf.UnavailableError names what is missing.
func Open(o Options) (*Probe, error) {
	if err := kernel.Require(what, bpf.BPF, bpf.Perfmon); err != nil {
		return nil, err
	}
	if len(o.Target.Netns) == 0 && o.Target.Cgroup == 0 && !o.Target.All {
		inode, err := netns.Self()
		if err != nil {
			return nil, &bpf.UnavailableError{What: what, Err: err}
		}
		o.Target.Netns = []uint32{inode}
	}
	if o.Poll <= 0 {
		o.Poll = 2 * time.Second
	}
	p := &Probe{options: o, done: make(chan struct{}), tried: make(chan struct{}), ready: make(chan struct{})}
	if err := p.try(); err != nil {
		return nil, kernel.Explain(what, err)
	}
	if p.source != nil {
		close(p.tried)
		return p, nil
	}
	go p.poll()
	return p, nil
}

// try opens the source. That there is nothing to open is no error.
func (p *Probe) try() error {
	source, err := openSource(p.options.Target)
	p.mu.Lock()
	defer p.mu.Unlock()
	var absent *absentError
	if errors.As(err, &absent) {
		p.wait = absent
		return nil
	}
	if err != nil {
		p.wait = err
		return err
	}
	if p.closed {
		return source.close()
	}
	p.source, p.wait = source, nil
	close(p.ready)
	return nil
}

func (p *Probe) poll() {
	defer close(p.tried)
	ticker := time.NewTicker(p.options.Poll)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-ticker.C:
		}
		_ = p.try() // it is in wait
		p.mu.Lock()
		attached := p.source != nil
		p.mu.Unlock()
		if attached {
			return
		}
	}
}

// Waiting says why nothing is watched yet: the modules are not there, or they
// can't be attached to. It is nil once the probe is attached.
func (p *Probe) Waiting() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wait
}

// Queues returns the queues that the target's tasks read, in no order. While
// the probe waits there is none. After Close the error is os.ErrClosed.
func (p *Probe) Queues() ([]Queue, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, os.ErrClosed
	}
	if p.source == nil {
		return nil, nil
	}
	return p.source.queues()
}

// Stats returns what was missed. After Close the error is os.ErrClosed.
func (p *Probe) Stats() (Stats, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return Stats{}, os.ErrClosed
	}
	if p.source == nil {
		return Stats{}, nil
	}
	return p.source.stats()
}

// Events calls fn for each loss until ctx ends (then it returns ctx's error) or
// the probe is closed (os.ErrClosed). One caller at a time; fn must not block.
func (p *Probe) Events(ctx context.Context, fn func(Event)) error {
	select {
	case <-p.ready:
	case <-p.done:
		return os.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	source, closed := p.source, p.closed
	p.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	return source.events(ctx, fn)
}

// Close ends the probe and everything that it holds in the kernel.
func (p *Probe) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.tried
		return nil
	}
	p.closed = true
	close(p.done)
	source := p.source
	p.mu.Unlock()
	<-p.tried
	if source == nil {
		return nil
	}
	if err := source.close(); err != nil {
		return fmt.Errorf("%s: closing: %w", what, err)
	}
	return nil
}
