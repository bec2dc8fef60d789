package session

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/proc"
)

const (
	lookEvery = 50 * time.Millisecond
	// killFor bounds how long new processes are chased.
	killFor = 3 * time.Second
)

// End ends all processes of ours: TERM, and KILL after the grace. A shell that a
// person types into ignores TERM: when only our own children are left, they get
// HUP, as from a terminal that is closed. It returns how many are left, as those
// that hang in the kernel.
func (s *Self) End(grace time.Duration) (left int) {
	begin := time.Now()
	told := map[int]uint64{} // by PID: when it started
	hungUp := false
	for time.Since(begin) < grace {
		all, err := s.ours()
		if err != nil || len(all) == 0 {
			return 0
		}
		fresh := false
		for _, p := range all {
			if start, ok := told[p.PID]; !ok || start != p.Start {
				told[p.PID], fresh = p.Start, true
				send(p, unix.SIGTERM)
				send(p, unix.SIGCONT) // a stopped one takes it only when it goes on
			}
		}
		if !fresh && !hungUp && s.onlyChildren(all) {
			hungUp = true
			for _, p := range all {
				send(p, unix.SIGHUP)
			}
		}
		time.Sleep(lookEvery)
	}
	for end := time.Now().Add(killFor); ; time.Sleep(lookEvery) {
		all, err := s.ours()
		if err != nil || len(all) == 0 {
			return 0
		}
		if time.Now().After(end) {
			return len(all)
		}
		for _, p := range all {
			send(p, unix.SIGKILL)
		}
	}
}

func (s *Self) onlyChildren(all []proc.Process) bool {
	for _, p := range all {
		if p.Parent != s.pid {
			return false
		}
	}
	return true
}
