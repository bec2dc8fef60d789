package launch

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminal is our controlling terminal, which we had in the foreground when the
// child was started.
type terminal struct {
	file    *os.File // held, so that fd stays open
	fd      int
	group   int           // ours; 0 if it is outside our PID namespace
	modes   *unix.Termios // as they were
	signals chan<- os.Signal
}

// findTerminal returns the terminal among the files, nil if there is none or we
// are in its background.
func findTerminal(signals chan<- os.Signal, files ...*os.File) *terminal {
	for _, f := range files {
		if f == nil {
			continue
		}
		t := &terminal{file: f, fd: int(f.Fd()), group: unix.Getpgrp(), signals: signals}
		if group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err != nil || group != t.group {
			continue // no terminal, not ours, or in the background
		}
		if modes, err := unix.IoctlGetTermios(t.fd, unix.TCGETS); err == nil {
			t.modes = modes
		}
		return t
	}
	return nil
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
	t.give(t.group)
	signal.Reset(unix.SIGTSTP)
	_ = unix.Kill(0, unix.SIGTSTP)
	// That may stop us only later; this does before it returns.
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGTSTP)
	signal.Notify(t.signals, unix.SIGTSTP)
	t.resume(c)
}

// resume lets the child go on, in the foreground if we were brought there.
func (t *terminal) resume(c *Child) {
	if group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err == nil && group == t.group {
		t.give(c.pid)
	}
	_ = c.Signal(unix.SIGCONT)
}

// takeBack brings us back to the foreground after the child's end, unless the
// shell above has put somebody else there. A child that was killed could not set
// the terminal's modes back.
func (t *terminal) takeBack(c *Child, state *os.ProcessState) {
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil || t.group == 0 {
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
