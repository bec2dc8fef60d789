// Package probe is the video probe: it samples the pod's streams every 100 ms,
// lets the detectors judge them, and tells what they say.
//
// One goroutine samples, judges and publishes. What is slow (clients, receivers
// of alerts, cameras) is in goroutines of its own and never delays it.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/answer"
	"github.com/debugsidecar/debugsidecar/sidecar/guard"
	"github.com/debugsidecar/debugsidecar/sidecar/push"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/serve"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Probe is what Run runs.
type Probe struct {
	options *Options
	log     *slog.Logger
	guard   *guard.Guard
	version string

	sources *sources
	watch   *watch
	own     *ownSession // nil without a source
	server  *serve.Server
	pusher  *push.Pusher // nil without receivers
	answers *answer.Answerer

	mu   sync.Mutex
	wall clock.Wall

	raised raised
	advice []answer.Answer
}

// publishEvery is how many ticks pass between two statuses.
const publishEvery = int(time.Second / sample.Interval)

// Run watches until the guard's context ends. It tells on out where the page is
// if it runs by hand.
func Run(g *guard.Guard, o Options, version string, log *slog.Logger, out io.Writer) (err error) {
	p := &Probe{options: &o, log: log, guard: g, version: version, raised: raised{}}
	p.wall = clock.SampleWall()
	defer func() { err = errors.Join(err, p.close()) }()
	if p.sources = openSourcesUntil(g.Context(), &o, log); p.sources == nil {
		return nil
	}
	p.watch = newWatch(&o, p.sources, p.wallTime)
	if err := p.open(out); err != nil {
		return err
	}
	p.answers = answer.New(o.policy())

	ctx, cancel := context.WithCancelCause(g.Context())
	defer cancel(nil)
	var running sync.WaitGroup
	start := func(what string, run func(context.Context) error) {
		running.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	start("serving", p.server.Run)
	if p.pusher != nil {
		running.Go(func() { p.pusher.Run(ctx) })
	}
	if p.own != nil {
		start("capturing", p.own.player.run)
	}
	p.loop(ctx)
	running.Wait()
	if err := context.Cause(ctx); g.Context().Err() == nil {
		return err
	}
	return nil
}

// wallTime returns what the wall clock showed at a moment of the kernel's.
func (p *Probe) wallTime(k clock.Ktime) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wall.Time(k)
}

// resample follows a wall clock that is set or drifts.
func (p *Probe) resample() {
	wall := clock.SampleWall()
	p.mu.Lock()
	p.wall = wall
	p.mu.Unlock()
}

func (p *Probe) loop(ctx context.Context) {
	ticker := time.NewTicker(sample.Interval)
	defer ticker.Stop()
	due := clock.Now()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := clock.Now()
		due += clock.Ktime(sample.Interval)
		late := time.Duration(0)
		if now > due {
			late = time.Duration(now - due)
		}
		if late > sample.Interval {
			due = now // ticks that were missed don't come again
		}
		alerts := p.watch.tick(now, late, p.sampleOwn(now))
		for _, a := range alerts {
			p.answers.Heard(a, now)
			p.alert(a)
		}
		for _, id := range p.watch.forgotten {
			p.forget(id)
		}
		p.answer(now)
		p.tellPlayer()
		p.follow()
		if n%publishEvery == 0 || len(alerts) > 0 {
			p.server.Publish(p.status(now))
		}
		if n%(60*publishEvery) == 0 {
			p.resample()
		}
	}
}

func (p *Probe) alert(a warn.Alert) {
	news := p.raised.take(a)
	p.server.Alert(a)
	if p.pusher != nil {
		p.pusher.Alert(a)
	}
	level := slog.LevelWarn
	switch {
	case !news:
		level = slog.LevelDebug
	case a.Kind == warn.Clear:
		level = slog.LevelInfo
	}
	p.log.Log(context.Background(), level, a.String(), "stream", a.Stream.Key())
}

// forget ends what is on for a stream that is gone.
func (p *Probe) forget(id sample.Stream) {
	p.answers.Forget(id)
	if p.pusher != nil {
		p.pusher.Ended(id)
	}
}

// follow puts the capture's and the sources' state into the guard's.
func (p *Probe) follow() {
	state, why := guard.Ready, ""
	if p.watch.err != nil {
		state, why = guard.Degraded, p.watch.err.Error()
	}
	if p.own != nil && state == guard.Ready {
		state, why = p.own.state()
	}
	was, _ := p.guard.State()
	if was == guard.Ready && state == guard.Recovering || was == guard.Initializing && state != guard.Ready {
		// It can only recover from what it has seen fail.
		_ = p.guard.To(guard.Ready, "")
		_ = p.guard.To(guard.Degraded, why)
	}
	// An illegal change can only be one that comes too late: it is stopping.
	if p.guard.To(state, why) == nil && was != state {
		p.log.Info("state", "is", state.String(), "was", was.String(), "why", why)
	}
}

func (p *Probe) close() error {
	var errs []error
	if p.watch != nil {
		errs = append(errs, p.watch.close())
	}
	if p.sources != nil {
		errs = append(errs, p.sources.close())
	}
	return errors.Join(errs...)
}
