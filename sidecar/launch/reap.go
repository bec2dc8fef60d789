package launch

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReapOrphans makes this process the one that orphans below it come to, and
// reaps them until stop is called. Run does so by itself; it is for a container's
// first process that runs no program, but that people start theirs beside.
func ReapOrphans() (stop func()) {
	restore := becomeSubreaper()
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	quit := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		var r reaper
		for {
			again := r.reap() // also at the beginning: some may be dead already
			select {
			case <-quit:
				return
			case <-died:
			case <-again:
			}
		}
	})
	return func() {
		signal.Stop(died)
		close(quit)
		ended.Wait()
		restore()
	}
}

// becomeSubreaper is for where we are not process 1, which reaps in any case. A
// kernel that refuses leaves the orphans to process 1.
func becomeSubreaper() (restore func()) {
	if os.Getpid() == 1 {
		return func() {}
	}
	var was int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&was)), 0, 0, 0)
	if err != nil || was != 0 {
		return func() {}
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return func() {}
	}
	return func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }
}

const (
	// lookAgain is how soon the reaper looks again after it found a child of our
	// own, which hides orphans that died later.
	lookAgain = 5 * time.Millisecond
	// patience is how long a dead process of our own group, but not of this
	// package, is left to whoever started it.
	patience = 2 * time.Second
)

// reaper reaps what nobody else will. A dead child is one of three:
//
//   - started by this package: its goroutine reaps it;
//   - started by other code of this program by os/exec: that is in our own
//     process group, unless it was given another, and its Wait reaps it;
//   - an orphan: it came from a child of ours, which has a group of its own, so
//     it is in another group. One in our own group is taken for an orphan when
//     nobody has reaped it for a while.
type reaper struct {
	waitsFor int       // a dead child in our own group
	since    time.Time // when it was seen first
}

// reap reaps all orphans that are dead. If it found a child that is not its
// own, it returns a channel that says when to look again.
func (r *reaper) reap() (again <-chan time.Time) {
	for {
		switch r.one() {
		case reapedOne:
		case leftOne:
			return time.After(lookAgain)
		case noneDead:
			return nil
		}
	}
}

// reapKilled reaps what was killed with the child and came to us as orphans: some
// of it dies only after the child did, when nobody looks for orphans any more.
func (c *Child) reapKilled() {
	c.mu.Lock()
	killed := c.killRest || c.stopping
	c.mu.Unlock()
	for killed {
		if _, err := unix.Wait4(-c.pid, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return // ECHILD: none is left
		}
	}
}

type outcome int

const (
	noneDead outcome = iota
	reapedOne
	leftOne
)

func (r *reaper) one() outcome {
	ours.mu.Lock() // no child of ours is unknown meanwhile
	defer ours.mu.Unlock()
	pid, err := deadChild()
	if err != nil || pid == 0 {
		return noneDead
	}
	if _, ok := ours.pids[pid]; ok {
		return leftOne
	}
	if group, err := unix.Getpgid(pid); err == nil && group == unix.Getpgrp() {
		if r.waitsFor != pid {
			r.waitsFor, r.since = pid, time.Now()
		}
		if time.Since(r.since) < patience {
			return leftOne
		}
	}
	for {
		_, err = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return reapedOne
		}
	}
}

// deadChild returns a child that is dead and leaves it so; 0 if there is none.
func deadChild() (pid int, err error) {
	for {
		var info unix.Siginfo
		err = unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return int((*child)(unsafe.Pointer(&info)).pid), err
		}
	}
}

// child is siginfo_t as waitid fills it, on 64 bits.
type child struct {
	_   [4]int32
	pid int32
}
