package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Child is a process that was started, and its process group. Its methods may
// be called from several goroutines at once, and after its end.
type Child struct {
	cmd      *exec.Cmd
	pid      int
	killRest bool // of the group, when the leader has ended
	stopped  func()
	done     chan struct{}
	exposed  error // of hiding; set before start returns
	err      error // of waiting; set before done is closed

	// The group's number is the leader's pid, which nobody else gets as long as
	// the leader is not reaped. mu keeps a signal from coming after that.
	mu       sync.Mutex
	stopping bool
	reaping  bool
}

// Start starts a child. What is left of its process group is killed when it
// ends. The caller should Wait, or Stop it, but need not.
func Start(s Spec) (*Child, error) {
	return start(context.Background(), s, options{killRest: true})
}

// options are where Run differs from Start.
type options struct {
	killRest bool
	terminal *terminal
}

func start(ctx context.Context, s Spec, o options) (*Child, error) {
	c := &Child{done: make(chan struct{}), killRest: o.killRest, stopped: func() {}}
	c.cmd = exec.CommandContext(ctx, s.Path, s.Args...)
	c.cmd.Env = append([]string{}, s.Env...) // nil would inherit ours
	c.cmd.Dir = s.Dir
	setFiles(c.cmd, s)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if o.terminal != nil {
		c.cmd.SysProcAttr.Foreground, c.cmd.SysProcAttr.Ctty = true, o.terminal.fd
		c.stopped = func() { o.terminal.stopped(c) }
	}
	c.cmd.Cancel = func() error {
		c.terminate(s.Grace)
		return nil
	}
	started := make(chan error)
	go c.own(s, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Path, err)
	}
	return c, nil
}

// setFiles keeps a nil *os.File from becoming a reader that is not nil.
func setFiles(cmd *exec.Cmd, s Spec) {
	if s.Stdin != nil {
		cmd.Stdin = s.Stdin
	}
	if s.Stdout != nil {
		cmd.Stdout = s.Stdout
	}
	if s.Stderr != nil {
		cmd.Stderr = s.Stderr
	}
	cmd.ExtraFiles = s.ExtraFiles
}

// own starts the child and stays on the thread that did until it ended: see
// "Death of the parent" in the package's comment.
func (c *Child) own(s Spec, started chan<- error) {
	runtime.LockOSThread()
	if s.Unprivileged {
		if unix.Gettid() == unix.Getpid() {
			// The main thread can't be ended, and /proc/self tells of it.
			other := make(chan struct{})
			go func() {
				defer close(other)
				c.own(s, started)
			}()
			<-other
			runtime.UnlockOSThread()
			return
		}
		// Not unlocked: Go ends the thread with the goroutine.
		if err := renounce(); err != nil {
			started <- err
			return
		}
		c.exposed = hide(s.Hide)
	} else {
		defer runtime.UnlockOSThread()
	}
	c.mu.Lock() // a context that ends now must not signal group 0, which is ours
	err := ours.start(c.cmd)
	if err == nil {
		c.pid = c.cmd.Process.Pid
	}
	c.mu.Unlock()
	started <- err
	if err != nil {
		return
	}
	c.await()
	c.reap()
}

// await blocks until the child has ended, and tells of its stops meanwhile. It
// does not reap.
func (c *Child) await() {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, c.pid, &info, unix.WEXITED|unix.WSTOPPED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return // somebody reaped it; cmd.Wait says so
		case info.Code == cldStopped || info.Code == cldTrapped:
			// Taken, so that the next look blocks.
			if unix.Waitid(unix.P_PID, c.pid, &info, unix.WSTOPPED|unix.WNOHANG, nil) == nil {
				c.stopped()
			}
		default:
			return
		}
	}
}

// si_code of SIGCHLD (include/uapi/asm-generic/siginfo.h).
const (
	cldTrapped = 4
	cldStopped = 5
)

func (c *Child) reap() {
	c.mu.Lock()
	if c.killRest || c.stopping {
		_ = unix.Kill(-c.pid, unix.SIGKILL)
	}
	c.reaping = true
	c.mu.Unlock()
	err := c.cmd.Wait()
	ours.forget(c.pid)
	if exit := (*exec.ExitError)(nil); c.cmd.ProcessState == nil && !errors.As(err, &exit) {
		c.err = fmt.Errorf("waiting for %s: %w", c.cmd.Path, err)
	}
	close(c.done)
}

// PID returns the child's process id, which is its group's as well.
func (c *Child) PID() int { return c.pid }

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exposed says why an unprivileged child can look into our process and what
// Spec.Hide names; nil if it can't.
func (c *Child) Exposed() error { return c.exposed }

// Wait blocks until the child has ended and returns how: exit status or signal,
// processor time and memory. The error is not about the child's failure, but
// that nobody knows how it ended.
func (c *Child) Wait() (*os.ProcessState, error) {
	<-c.done
	return c.cmd.ProcessState, c.err
}

// Status returns what a shell would: the exit status, or 128 and the signal's
// number.
func Status(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// Signal sends a signal to the child's group. After the child's end the error
// is os.ErrProcessDone.
func (c *Child) Signal(s syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaping {
		return os.ErrProcessDone
	}
	return unix.Kill(-c.pid, s)
}

// Kill ends the child's group at once, and waits until the child is gone: for long,
// if it sleeps in a driver that nothing interrupts.
func (c *Child) Kill() {
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	_ = c.Signal(unix.SIGKILL)
	<-c.done
}

// Stop sends TERM to the child's group, and KILL when the child has not ended
// by the deadline. It returns how the child ended, as Wait does.
func (c *Child) Stop(deadline time.Duration) (*os.ProcessState, error) {
	c.terminate(deadline)
	return c.Wait()
}

// terminate sends TERM now and KILL later. A stopped process takes TERM only
// when it goes on.
func (c *Child) terminate(grace time.Duration) {
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	_ = c.Signal(unix.SIGTERM)
	_ = c.Signal(unix.SIGCONT)
	c.killAfter(grace)
}

func (c *Child) killAfter(grace time.Duration) {
	timer := time.AfterFunc(grace, func() { _ = c.Signal(unix.SIGKILL) })
	go func() {
		<-c.done
		timer.Stop()
	}()
}
