package launch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a shell returns for a program that it can't start.
const (
	notExecutable = 126
	notFound      = 127
)

// Run runs a program to its end and returns its exit status as a shell would:
// 128 and the signal's number if one killed it, 126 or 127, with an error, if
// it could not be started. Meanwhile the signals that this process gets go to
// the program's group, and orphans are reaped.
//
// If our group has the terminal, the program's group has it while the program
// runs: Ctrl-C and Ctrl-Z are the program's. When it stops, we do, and the
// shell that started us can bring both back.
//
// When ctx ends, the group gets TERM, and KILL after Spec.Grace. A signal that
// ends the caller's own ctx would arrive twice.
func Run(ctx context.Context, s Spec) (status int, err error) {
	stopReaping := ReapOrphans()
	defer stopReaping()
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, passedOn()...) // before the start: none is lost
	defer signal.Stop(signals)
	t := findTerminal(s.Stdin, s.Stdout, s.Stderr)
	c, err := start(ctx, s, options{terminal: t})
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, unix.ENOENT) {
			return notFound, err
		}
		return notExecutable, err
	}
	c.passOn(signals, t, s)
	state, err := c.Wait()
	if err != nil {
		return notExecutable, err
	}
	if t != nil {
		t.takeBack(c, state)
	}
	c.reapKilled()
	return Status(state), nil
}

// passedOn are the signals that go to the child: all but those of a fault, of
// children, and of the terminal's to its background. What we were told to ignore
// (nohup), the child ignores, too.
func passedOn() []os.Signal {
	candidates := []syscall.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM,
		unix.SIGCONT, unix.SIGTSTP, unix.SIGWINCH, unix.SIGIO, unix.SIGPWR,
	}
	const firstRealTime, last = 35, 64 // glibc's and Go's own ones are below
	for s := syscall.Signal(firstRealTime); s <= last; s++ {
		candidates = append(candidates, s)
	}
	var all []os.Signal
	for _, s := range candidates {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}

// passOn passes signals on until the child has ended.
func (c *Child) passOn(signals <-chan os.Signal, t *terminal, s Spec) {
	killing := false
	for {
		select {
		case <-c.done:
			return
		case got := <-signals:
			number, ok := got.(syscall.Signal)
			if !ok {
				continue
			}
			if number == unix.SIGCONT && t != nil {
				t.resume(c) // also when the shell brings us to the foreground
				continue
			}
			_ = c.Signal(number)
			if number == unix.SIGTERM && s.Grace > 0 && !killing {
				killing = true
				c.killAfter(s.Grace)
			}
		}
	}
}
