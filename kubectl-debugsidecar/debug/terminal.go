package debug

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
	"k8s.io/client-go/tools/remotecommand"
)

// terminal is the user's, if there is one. Its state is put back by restore, which
// may be called at any time and often.
type terminal struct {
	in, out int // file descriptors
	is      bool

	mu    sync.Mutex
	state *term.State
}

// terminalOf finds the terminal in which both streams are.
func terminalOf(in io.Reader, out io.Writer) *terminal {
	input, ok1 := in.(*os.File)
	output, ok2 := out.(*os.File)
	if !ok1 || !ok2 {
		return &terminal{}
	}
	t := &terminal{in: int(input.Fd()), out: int(output.Fd())}
	t.is = term.IsTerminal(t.in) && term.IsTerminal(t.out)
	return t
}

// raw passes keys on as they are typed: Ctrl-C is the remote program's.
func (t *terminal) raw() error {
	if !t.is {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != nil {
		return nil
	}
	state, err := term.MakeRaw(t.in)
	if err != nil {
		return fmt.Errorf("preparing the terminal: %w", err)
	}
	t.state = state
	return nil
}

func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != nil {
		_ = term.Restore(t.in, t.state) // there is nobody to tell
		t.state = nil
	}
}

// size is nil where it is not known.
func (t *terminal) size() *remotecommand.TerminalSize {
	if !t.is {
		return nil
	}
	width, height, err := term.GetSize(t.out)
	if err != nil || width <= 0 || height <= 0 {
		return nil
	}
	return &remotecommand.TerminalSize{Width: uint16(min(width, 0xffff)), Height: uint16(min(height, 0xffff))}
}

// isTerminal says whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is a stream's, or what nearly all have.
func width(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}

// sizes is the queue from which the remote terminal's size is taken.
type sizes struct {
	terminal *terminal
	silent   func() bool
	steps    []step
	changed  <-chan struct{}
	done     <-chan struct{}
}

// step is a size that is sent after a while.
type step struct {
	after time.Duration
	// other is a size that differs by one.
	other bool
}

// settle is how long another size lasts: a runtime may still be connecting, and of
// two changes at once a program sees none.
const settle = 200 * time.Millisecond

// newSizes begins with another size, if what is there is to be drawn again, and
// then the right one: a program that draws, as a shell does its prompt, draws again
// when the size changes, also for one who comes later. As long as nothing is seen,
// that is tried again. It ends when done is closed.
func newSizes(t *terminal, redraw bool, silent func() bool, done <-chan struct{}) *sizes {
	q := &sizes{terminal: t, silent: silent, done: done, changed: watchSize(done)}
	again := func(after time.Duration) { q.steps = append(q.steps, step{after, true}, step{settle, false}) }
	if redraw {
		again(0)
	} else {
		q.steps = append(q.steps, step{0, false})
	}
	for _, after := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second} {
		again(after)
	}
	return q
}

// Next waits for the next size; nil is the end.
func (q *sizes) Next() *remotecommand.TerminalSize {
	for {
		var soon <-chan time.Time
		if len(q.steps) > 0 {
			soon = time.After(q.steps[0].after)
		}
		select {
		case <-q.done:
			return nil
		case <-soon:
			now := q.steps[0]
			q.steps = q.steps[1:]
			if now.after > settle && !q.silent() {
				q.steps = nil
				continue
			}
			size := q.terminal.size()
			if size != nil && now.other && size.Width > 1 {
				size.Width--
			}
			if size != nil {
				return size
			}
		case <-q.changed:
			if size := q.terminal.size(); size != nil {
				return size
			}
		}
	}
}
