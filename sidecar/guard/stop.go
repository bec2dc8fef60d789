package guard

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrStopping is returned by OnStop when it is too late.
var ErrStopping = errors.New("the program is stopping: nothing can be registered any more, clean up at once")

type cleanUp struct {
	what string
	run  func(context.Context) error
}

// OnStop registers a clean-up; what names it in errors. They run in reverse
// order, each when the one before has returned. The context ends at the
// deadline of Options.StopTimeout. After Stop was called the error is
// ErrStopping, and the clean-up is the caller's.
func (g *Guard) OnStop(what string, run func(context.Context) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrStopping
	}
	g.cleanUps = append(g.cleanUps, cleanUp{what, run})
	return nil
}

// Stop ends the Context, runs the clean-ups, gives back the signals, and
// returns the clean-ups' errors. It does so once: who else calls it, waits and
// gets the same, but a clean-up must not. The reason is the first caller's.
func (g *Guard) Stop(why string) error {
	if g.stop.CompareAndSwap(false, true) {
		defer close(g.stopped)
		// From any state there is a way to Stopping, and nobody else goes it.
		_ = g.change(Stopping, why)
		g.cancel(fmt.Errorf("stopping: %s", why))
		g.mu.Lock()
		g.closed = true
		cleanUps := g.cleanUps
		g.cleanUps = nil
		g.mu.Unlock()
		g.err = g.cleanUp(cleanUps)
		_ = g.change(Stopped, why)
		g.Unregister()
		return g.err
	}
	<-g.stopped
	return g.err
}

// lastChance is how long a clean-up may take whose turn comes after the
// deadline.
const lastChance = 100 * time.Millisecond

func (g *Guard) cleanUp(cleanUps []cleanUp) error {
	ctx, cancel := context.WithTimeout(context.Background(), g.options.StopTimeout)
	defer cancel()
	var all []error
	for i := len(cleanUps) - 1; i >= 0; i-- {
		if err := cleanUps[i].within(ctx); err != nil {
			all = append(all, fmt.Errorf("stopping %s: %w", cleanUps[i].what, err))
		}
	}
	return errors.Join(all...)
}

// within runs the clean-up and gives it up when its time is over: one that
// hangs keeps neither the others nor the program's end.
func (c cleanUp) within(ctx context.Context) error {
	result := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				result <- fmt.Errorf("panic: %v", p)
			}
		}()
		result <- c.run(ctx)
	}()
	end := ctx.Done()
	if ctx.Err() != nil {
		late, cancel := context.WithTimeout(context.Background(), lastChance)
		defer cancel()
		end = late.Done()
	}
	select {
	case err := <-result:
		return err
	case <-end:
		return errors.New("it did not end in time and is given up")
	}
}
