package diagnose

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/session"
)

// drainWithin bounds how long a runtime has to take what was written.
const drainWithin = 5 * time.Second

// leastTime is how long a container that says something lives at least: kubelets
// look once a second, so that it seldom makes a difference.
const leastTime = 700 * time.Millisecond

// idle is after how long without output it is over, though it is held open.
const idle = 100 * time.Millisecond

// outputs are what a command writes to. Where that is no terminal it goes through
// us and is counted: a runtime writes a container's log later than the container
// ends, and only who knows how much there is knows when all of it is there.
//
// And we end only when the pipe to the runtime is empty, and never at once: on a
// busy node containerd loses what is in its pipes when a container ends right after
// its start (containerd issue 7289; "read /proc/self/fd/N: file already closed" in
// its log).
type outputs struct {
	began          time.Time
	stdout, stderr *os.File // the command's
	counted        []*counted
}

// outputsOf are ours, counted if we are the container's first process.
func outputsOf(self *session.Self) (*outputs, error) {
	o := &outputs{began: time.Now(), stdout: os.Stdout, stderr: os.Stderr}
	if !self.First() || isTerminal(os.Stdout) || isTerminal(os.Stderr) {
		return o, nil
	}
	out, err := count(os.Stdout)
	if err != nil {
		return o, err
	}
	o.stdout, o.counted = out.in, []*counted{out}
	if isSame(os.Stdout, os.Stderr) {
		o.stderr = out.in // or lines would change places
		return o, nil
	}
	failure, err := count(os.Stderr)
	if err != nil {
		out.in.Close()
		return &outputs{stdout: os.Stdout, stderr: os.Stderr}, err
	}
	o.stderr, o.counted = failure.in, append(o.counted, failure)
	return o, nil
}

// end waits until all that was written has been passed on, and returns how many
// bytes of a log that makes; ok is false where nothing was counted or not all was
// taken.
func (o *outputs) end() (n int64, ok bool) {
	limit := time.Now().Add(drainWithin)
	ok = len(o.counted) > 0
	for _, c := range o.counted {
		n += c.end(limit)
		ok = ok && c.whole.Load()
	}
	for _, c := range o.counted {
		if !c.whole.Load() {
			continue
		}
		for waiting(c.out) > 0 && time.Now().Before(limit) {
			time.Sleep(time.Millisecond)
		}
		c.out.Close()
	}
	if n > 0 {
		time.Sleep(time.Until(o.began.Add(leastTime)))
	}
	return n, ok
}

// counted is one output.
type counted struct {
	in, from *os.File // what the command writes to, and where that arrives
	out      *os.File
	n        int64
	last     byte
	whole    atomic.Bool
	done     chan struct{}
}

func count(out *os.File) (*counted, error) {
	fail := func(err error) (*counted, error) { return nil, fmt.Errorf("counting what the command says: %w", err) }
	from, in, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	// A copy: where nobody reads any more, Go ends a program that writes to file 1 or 2.
	fd, err := unix.FcntlInt(out.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		in.Close()
		from.Close()
		return fail(err)
	}
	c := &counted{in: in, from: from, out: os.NewFile(uintptr(fd), out.Name()), done: make(chan struct{})}
	go c.pass()
	return c, nil
}

// pass ends when nobody can write any more, or the runtime takes nothing: then the
// command gets EPIPE, as it would without us.
func (c *counted) pass() {
	defer close(c.done)
	defer c.from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := c.from.Read(b)
		if n > 0 {
			if _, failed := c.out.Write(b[:n]); failed != nil {
				return
			}
			c.n, c.last = c.n+int64(n), b[n-1]
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && waiting(c.from) > 0:
			_ = c.from.SetReadDeadline(time.Now().Add(idle))
		default:
			c.whole.Store(errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded))
			return
		}
	}
}

// waiting is how many bytes a pipe holds; either end of it says so.
func waiting(pipe *os.File) int {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) // FIONREAD
	if err != nil {
		return 0
	}
	return n
}

// end returns how long the log of it is: a runtime ends a last line that has no
// end. For processes that hang and hold the output open, nobody waits.
func (c *counted) end(limit time.Time) int64 {
	c.in.Close()
	_ = c.from.SetReadDeadline(time.Now().Add(idle))
	select {
	case <-c.done:
	case <-time.After(time.Until(limit)):
		return 0
	}
	if c.n > 0 && c.last != '\n' {
		return c.n + 1
	}
	return c.n
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// isSame says whether two files are one.
func isSame(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
