package debug

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// screen is where a remote program's output goes. It may be held back until what
// was said before the connection is known, so that both come in their order and
// nothing twice.
type screen struct {
	out io.Writer

	mu    sync.Mutex
	held  *bytes.Buffer // nil: not held
	wrote bool
}

// maxHeld is how much is held back at most; then it comes without what was before.
const maxHeld = 1 << 20

func newScreen(out io.Writer, hold bool) *screen {
	s := &screen{out: out}
	if hold {
		s.held = &bytes.Buffer{}
	}
	return s
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrote = true
	if s.held != nil {
		s.held.Write(p)
		if s.held.Len() > maxHeld {
			return len(p), s.release(nil)
		}
		return len(p), nil
	}
	return s.out.Write(p)
}

// open shows what was said before, and lets go what was held back.
func (s *screen) open(before []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		return nil
	}
	if len(before) > 0 {
		s.wrote = true
	}
	return s.release(before)
}

func (s *screen) release(before []byte) error {
	held := s.held.Bytes()
	s.held = nil
	if _, err := s.out.Write(before); err != nil {
		return err
	}
	_, err := s.out.Write(held[overlap(before, held):])
	return err
}

// hasOutput says whether anything came.
func (s *screen) hasOutput() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrote
}

// isSilent says whether nothing came.
func (s *screen) isSilent() bool { return !s.hasOutput() }

// overlap is how many bytes a log ends with that a connection begins with: the log
// goes on while one connects.
func overlap(before, after []byte) int {
	for n := min(len(before), len(after)); n > 0; n-- {
		if bytes.Equal(before[len(before)-n:], after[:n]) {
			return n
		}
	}
	return 0
}

// afterSilence calls f if nothing comes for a while.
func (s *screen) afterSilence(d time.Duration, done <-chan struct{}, f func()) {
	go func() {
		select {
		case <-done:
		case <-time.After(d):
			if !s.hasOutput() {
				f()
			}
		}
	}()
}
