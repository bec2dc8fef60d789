package debug

import (
	"fmt"
	"io"
	"os"
	"sync"

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
	first    []remotecommand.TerminalSize
	changed  <-chan struct{}
	done     <-chan struct{}
}

// newSizes begins with a size that differs by one: a program that draws, as a
// shell does its prompt, draws again when the size changes, and so for one who
// comes later. It ends when done is closed.
func newSizes(t *terminal, redraw bool, done <-chan struct{}) *sizes {
	q := &sizes{terminal: t, done: done, changed: watchSize(done)}
	if size := t.size(); size != nil {
		if other := *size; redraw && other.Width > 1 {
			other.Width--
			q.first = append(q.first, other)
		}
		q.first = append(q.first, *size)
	}
	return q
}

// Next waits for the next size; nil is the end.
func (q *sizes) Next() *remotecommand.TerminalSize {
	if len(q.first) > 0 {
		size := q.first[0]
		q.first = q.first[1:]
		return &size
	}
	for {
		select {
		case <-q.done:
			return nil
		case <-q.changed:
			if size := q.terminal.size(); size != nil {
				return size
			}
		}
	}
}
