// Package guard is the lifecycle of a program: one state with its reason, the
// signals that end it, and clean-ups that run once.
//
//	g := guard.New(guard.Options{})
//	g.Register()
//	err := g.OnStop("the tap", func(context.Context) error { return tap.Close() })
//	...
//	err = g.To(guard.Ready, "")
//	<-g.Context().Done()
//	return g.Stop("") // waits for the clean-ups
//
// All methods may be called from any number of goroutines at once.
package guard

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options of New. The zero value is what a program in a container wants.
type Options struct {
	// Signals stop the program. Default: TERM and INT.
	Signals []os.Signal
	// StopTimeout bounds all clean-ups together. Default 10 s: Kubernetes kills
	// after 30 s.
	StopTimeout time.Duration
	// Exit ends the process at the second signal. Default: os.Exit.
	Exit func(status int)
}

// Guard holds the state of a program.
type Guard struct {
	options Options
	moment  atomic.Pointer[moment]
	ctx     context.Context
	cancel  context.CancelCauseFunc

	mu       sync.Mutex // of what follows
	handler  *handler   // nil while no signal is waited for
	cleanUps []cleanUp
	closed   bool // to new clean-ups

	signals atomic.Int32 // that came
	stop    atomic.Bool  // Stop was called
	stopped chan struct{}
	err     error // of the clean-ups, set before stopped is closed
}

// moment is a state and its reason, which change together.
type moment struct {
	state State
	why   string
	over  chan struct{} // closed when the next moment has come
}

// New returns a guard that is Initializing.
func New(o Options) *Guard {
	if len(o.Signals) == 0 {
		o.Signals = []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = 10 * time.Second
	}
	if o.Exit == nil {
		o.Exit = os.Exit
	}
	g := &Guard{options: o, stopped: make(chan struct{})}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	g.moment.Store(&moment{state: Initializing, over: make(chan struct{})})
	return g
}

// State returns the state and its reason, which is empty if nobody gave one.
func (g *Guard) State() (state State, why string) {
	now := g.moment.Load()
	return now.state, now.why
}

// Changed returns a channel that is closed at the next change of the state or
// its reason. Ask for it before State, and no change is missed.
func (g *Guard) Changed() <-chan struct{} { return g.moment.Load().over }

// Context ends when the program begins to stop; its cause says why.
func (g *Guard) Context() context.Context { return g.ctx }

// To changes the state. The error is a *TransitionError if there is no way from
// the present state to that one; Stop alone leads to Stopping and Stopped. A
// state may be given a new reason.
func (g *Guard) To(state State, why string) error {
	if state == Stopping || state == Stopped {
		now, _ := g.State()
		return &TransitionError{From: now, To: state}
	}
	return g.change(state, why)
}

func (g *Guard) change(state State, why string) error {
	next := &moment{state: state, why: why, over: make(chan struct{})}
	for {
		now := g.moment.Load()
		if !legal(now.state, state) {
			return &TransitionError{From: now.state, To: state}
		}
		if now.state == state && now.why == why {
			return nil
		}
		if g.moment.CompareAndSwap(now, next) {
			close(now.over)
			return nil
		}
	}
}
