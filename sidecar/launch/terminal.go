package launch

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// terminal is our controlling terminal, which we had in the foreground when the
// child was started.
type terminal struct {
	file  *os.File // held, so that fd stays open
	fd    int
	group int           // ours; 0 if it is outside our PID namespace
	modes *unix.Termios // as they were
	mu    sync.Mutex    // held while we stop
}

// findTerminal returns the terminal among the files, nil if there is none or we
// are in its background.
func findTerminal(files ...*os.File) *terminal {
	for _, f := range files {
		if f == nil {
			continue
		}
		t := &terminal{file: f, fd: int(f.Fd()), group: unix.Getpgrp()}
		if t.foreground() != t.group {
			continue // no terminal, not ours, or in the background
		}
		if modes, err := unix.IoctlGetTermios(t.fd, unix.TCGETS); err == nil {
			t.modes = modes
		}
		return t
	}
	return nil
}

// foreground returns the group in the foreground, -1 if it can't be told.
func (t *terminal) foreground() int {
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return group
}

// give brings a group to the foreground. Who is in the background would get
// TTOU for that.
func (t *terminal) give(group int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ttou, before unix.Sigset_t
	ttou.Val[0] = 1 << (unix.SIGTTOU - 1)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &ttou, &before) != nil {
		return
	}
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
}

// stopped follows a child that was stopped, on a thread of its own: our job
// stops as the shell above expects. Where there is none (our group is orphaned,
// as in a container) the kernel ignores TSTP, and the child goes on at once,
// since nobody else could tell it to.
func (t *terminal) stopped(c *Child) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.foreground() {
	case c.pid:
		t.give(t.group)
	case t.group: // brought there since; else it read in the background
		t.goOn(c)
		return
	}
	// First the others of our job, then we: sent to this thread, it stops us
	// before the call returns, so that what follows comes after we were continued.
	withAction(unix.SIGTSTP, ignore, func() { _ = unix.Kill(0, unix.SIGTSTP) })
	withAction(unix.SIGTSTP, byDefault, func() { _ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGTSTP) })
	t.goOn(c)
}

// action is the kernel's struct sigaction on amd64 and arm64.
type action [4]uint64

var byDefault, ignore = action{0}, action{1}

// withAction calls fn while a signal has an action. Package signal can't give
// TSTP its default back: the runtime's handler stays, and ignores it.
func withAction(s syscall.Signal, during action, fn func()) {
	var before action
	set := func(action, old *action) {
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s),
			uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	}
	set(&during, &before)
	fn()
	set(&before, nil)
}

// resume follows a CONT that we got.
func (t *terminal) resume(c *Child) {
	t.mu.Lock() // not in the middle of stopping
	defer t.mu.Unlock()
	t.goOn(c)
}

// goOn lets the child go on, in the foreground if we were brought there.
func (t *terminal) goOn(c *Child) {
	if t.foreground() == t.group {
		t.give(c.pid)
	}
	_ = c.Signal(unix.SIGCONT)
}

// takeBack brings us back to the foreground after the child's end, unless the
// shell above has put somebody else there. A child that was killed could not set
// the terminal's modes back.
func (t *terminal) takeBack(c *Child, state *os.ProcessState) {
	group := t.foreground()
	if group < 0 || t.group == 0 {
		return
	}
	if group != t.group && group != c.pid && unix.Kill(-group, 0) == nil {
		return
	}
	t.give(t.group)
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() && t.modes != nil {
		_ = unix.IoctlSetTermios(t.fd, unix.TCSETSW, t.modes)
	}
}
