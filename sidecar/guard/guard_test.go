package guard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/sidecar/guard"
)

var all = []guard.State{guard.Initializing, guard.Ready, guard.Degraded, guard.Recovering, guard.Stopping, guard.Stopped}

// Written out again, and not derived: the design's line is the truth.
var allowed = map[string]bool{
	"Initializing Ready": true,
	"Ready Degraded":     true, "Degraded Ready": true,
	"Degraded Recovering": true, "Recovering Ready": true, "Recovering Degraded": true,
	// A new reason for the same state.
	"Initializing Initializing": true, "Ready Ready": true, "Degraded Degraded": true, "Recovering Recovering": true,
}

func TestOnlyTheDesignsTransitionsAreLegal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := guard.New(guard.Options{})
		want, wantWhy := guard.Initializing, ""
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			to := rapid.SampledFrom(all).Draw(t, "to")
			why := fmt.Sprint("step ", i)
			err := g.To(to, why)
			if allowed[fmt.Sprint(want, " ", to)] {
				if err != nil {
					t.Fatalf("%v -> %v: %v", want, to, err)
				}
				want, wantWhy = to, why
			} else {
				var te *guard.TransitionError
				if !errors.As(err, &te) || te.From != want || te.To != to {
					t.Fatalf("%v -> %v gave %v", want, to, err)
				}
			}
			if state, why := g.State(); state != want || why != wantWhy {
				t.Fatalf("is %v (%s), not %v (%s)", state, why, want, wantWhy)
			}
		}
		if err := g.Stop("enough"); err != nil {
			t.Fatal(err)
		}
		if state, why := g.State(); state != guard.Stopped || why != "enough" {
			t.Fatalf("after Stop: %v (%s)", state, why)
		}
		for _, to := range all {
			if g.To(to, "again") == nil {
				t.Fatalf("Stopped became %v", to)
			}
		}
	})
}

// What readers see is a chain of legal steps, each state with the reason that
// was given to it.
func TestReadersGetStateAndReasonTogether(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := guard.New(guard.Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				to := all[i%4]
				_ = g.To(to, "because of "+to.String())
			}
		})
	}
	torn := make(chan string, 4)
	for range 4 {
		wg.Go(func() {
			for {
				changed := g.Changed()
				state, why := g.State()
				if why != "" && why != "because of "+state.String() {
					torn <- fmt.Sprint(state, ": ", why)
					return
				}
				if state == guard.Stopped {
					return
				}
				<-changed
			}
		})
	}
	wg.Go(func() {
		time.Sleep(time.Millisecond)
		_ = g.Stop("")
	})
	wg.Wait()
	select {
	case what := <-torn:
		t.Fatal(what)
	default:
	}
}

// Of many that try the same step at once, each new moment wakes who waits for
// it, and who waits misses none.
func TestEachChangeWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(guard.Options{})
		var seen []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				changed := g.Changed()
				state, why := g.State()
				seen = append(seen, fmt.Sprint(state, " ", why))
				if state == guard.Stopped {
					return
				}
				<-changed
			}
		}()
		for _, step := range []struct {
			to  guard.State
			why string
		}{{guard.Ready, ""}, {guard.Degraded, "no camera"}, {guard.Degraded, "no camera"}, {guard.Degraded, "no network"}, {guard.Recovering, ""}, {guard.Ready, ""}} {
			synctest.Wait()
			if err := g.To(step.to, step.why); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := g.OnStop("a second", func(context.Context) error { time.Sleep(time.Second); return nil }); err != nil {
			t.Fatal(err)
		}
		_ = g.Stop("done")
		<-done
		want := "Initializing |Ready |Degraded no camera|Degraded no network|Recovering |Ready |Stopping done|Stopped done"
		if got := strings.Join(seen, "|"); got != want {
			t.Errorf("seen %s\nwant %s", got, want)
		}
	})
}

func TestStopRunsCleanUpsOnceInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(guard.Options{})
		var order []int
		for i := range 5 {
			if err := g.OnStop(fmt.Sprint("part ", i), func(context.Context) error {
				time.Sleep(100 * time.Millisecond)
				order = append(order, i) // a race if two ran at once
				if i == 2 {
					return errors.New("is stuck")
				}
				if i == 1 {
					panic("oops")
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		errs := make([]error, 100)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = g.Stop("enough") })
		}
		wg.Wait()
		if got := fmt.Sprint(order); got != "[4 3 2 1 0]" {
			t.Error("order", got)
		}
		for _, err := range errs {
			if err == nil || err.Error() != "stopping part 2: is stuck\nstopping part 1: panic: oops" {
				t.Fatalf("an error got lost: %v", err)
			}
		}
		if err := g.OnStop("late", nil); !errors.Is(err, guard.ErrStopping) {
			t.Error(err)
		}
		if cause := context.Cause(g.Context()); cause == nil || cause.Error() != "stopping: enough" {
			t.Error(cause)
		}
	})
}

func TestContextEndsBeforeTheCleanUps(t *testing.T) {
	g := guard.New(guard.Options{})
	var inTime bool
	_ = g.OnStop("it", func(context.Context) error {
		state, _ := g.State()
		inTime = g.Context().Err() != nil && state == guard.Stopping
		return nil
	})
	_ = g.Stop("")
	if !inTime {
		t.Error("the context went on while the clean-ups ran")
	}
}

// One that hangs is given up at the deadline; those after it still run, with a
// context that has ended.
func TestCleanUpThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(guard.Options{StopTimeout: 3 * time.Second})
		release := make(chan struct{})
		var first, last bool
		_ = g.OnStop("the first", func(ctx context.Context) error {
			last = ctx.Err() != nil
			return nil
		})
		_ = g.OnStop("the hung", func(context.Context) error { <-release; return nil })
		_ = g.OnStop("the last", func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			first = ok && time.Until(deadline) == 3*time.Second
			return nil
		})
		begin := time.Now()
		err := g.Stop("")
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
		if err == nil || err.Error() != "stopping the hung: it did not end in time and is given up" {
			t.Error(err)
		}
		if !first || !last {
			t.Error("not all clean-ups ran as they should:", first, last)
		}
		close(release)
	})
}
