package capture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

// ending is how a session ended.
type ending struct {
	failed bool
	over   bool // a file came to its end
	cause  Cause
	why    string
	played time.Duration
}

// session is one child, from its start to its end.
type session struct {
	c      *Capture
	child  *launch.Child
	conn   *net.UnixConn
	errors *os.File // the child's standard error
	began  time.Time
	weight scales
	wg     sync.WaitGroup
	ended  chan struct{} // closed when the child said or did its last

	mu        sync.Mutex
	heard     time.Time // any message
	frameAt   time.Time // the last frame
	firstAt   time.Time
	report    wire.Report // Ended or Failed, if it came
	broken    error       // what the child did that it must not
	hint      Cause       // what ffmpeg said last
	hintWhy   string
	lastLine  string
	unreached bool // the host did not answer when it was asked
}

// watchEvery is how often a session's age is looked at.
const watchEvery = 20 * time.Millisecond

// session plays until it is not wanted any more, fails, or ctx ends.
func (c *Capture) session(ctx context.Context) ending {
	c.mu.Lock()
	c.playing = false
	c.now.State = Opening // why there are no frames stays true until there are
	c.mu.Unlock()
	ca, err := c.openCA()
	if err != nil {
		c.count(false)
		return ending{failed: true, cause: Refused, why: err.Error()}
	}
	s, err := c.start(ca)
	if ca != nil {
		ca.Close() // the child has it
	}
	if err != nil {
		c.count(true)
		return ending{failed: true, cause: Decoder, why: c.redact.text(err.Error())}
	}
	asking, stopAsking := context.WithCancel(ctx)
	verdict := s.watch(asking)
	// The child is killed first: it is the only one that may block.
	s.child.Kill()
	stopAsking()
	s.close()
	return s.conclude(verdict)
}

// openCA opens it for the child, which may read no secrets. Nil is none.
func (c *Capture) openCA() (*os.File, error) {
	if c.o.CA == "" {
		return nil, nil
	}
	// A pipe that nobody writes to must not hold us up.
	f, err := os.OpenFile(c.o.CA, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("the CA of the source: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("the CA of the source: %s is no file", c.o.CA)
	}
	return f, nil
}

func (c *Capture) start(ca *os.File) (*session, error) {
	conn, theirs, err := wire.NewSocket()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	defer w.Close()
	files := []*os.File{theirs, c.memory.File()}
	if ca != nil {
		files = append(files, ca)
	}
	child, err := launch.Start(launch.Spec{
		Path: c.o.Worker, Env: environment(), Stderr: w, Dir: "/",
		ExtraFiles: files, Unprivileged: true,
		Hide: append([]string{podSecrets}, c.o.Hide...),
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close(), r.Close())
	}
	if exposed := child.Exposed(); exposed != nil && !c.exposed {
		c.exposed = true // it stays so; once is enough
		c.o.Log.Warn("the capture program could read this container's files and tokens", "why", exposed)
	}
	now := time.Now()
	s := &session{c: c, child: child, conn: conn, errors: r, began: now, heard: now, weight: newScales(child.PID()), ended: make(chan struct{})}
	s.wg.Go(s.listen)
	s.wg.Go(s.readErrors)
	return s, nil
}

// podSecrets is where Kubernetes mounts the service account's token.
const podSecrets = "/var/run/secrets"

// environment is what the child may know: where certificates are.
func environment() []string {
	var env []string
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func (s *session) close() {
	s.conn.Close()
	// What the child said last is still in the pipe.
	_ = s.errors.SetReadDeadline(time.Now().Add(time.Second))
	s.wg.Wait()
	s.errors.Close()
	s.weight.close()
	s.c.mu.Lock()
	s.c.now.WorkerBytes = 0
	s.c.mu.Unlock()
}

// watch returns when the session has to end, and why if nobody else says.
func (s *session) watch(ctx context.Context) (why ending) {
	c := s.c
	if err := s.order(wire.Order{Open: &wire.Open{
		Source: c.o.Source, Local: c.o.Local, Transport: c.o.Transport, CA: c.o.CA != "", Insecure: c.o.Insecure, Timeout: c.o.ReadTimeout, Late: c.o.Late,
		CheckEvery: c.o.CheckEvery, PictureEvery: c.o.PictureEvery, PictureWidth: c.o.PictureWidth,
	}}); errors.Is(err, syscall.EPIPE) {
		return ending{failed: true} // it ended already; how, shows later
	} else if err != nil {
		return ending{failed: true, cause: Decoder, why: err.Error()}
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var pictures, asked bool
	var marked uint64
	var weighed time.Time
	for {
		now := time.Now()
		if !c.wanted(now) {
			return ending{}
		}
		pictures, marked = s.passOn(pictures, marked)
		if now.Sub(weighed) > time.Second {
			weighed = now
			if bytes := s.weight.read(); bytes > c.o.MemoryLimit {
				return ending{failed: true, cause: Decoder, why: fmt.Sprintf("the capture program grew to %d MiB", bytes>>20)}
			} else {
				c.mu.Lock()
				c.now.WorkerBytes = bytes
				c.mu.Unlock()
			}
		}
		stalled, kill := s.judge(now)
		if kill != nil {
			return *kill
		}
		if stalled && !asked {
			asked = true
			s.wg.Go(func() { s.ask(ctx) })
		} else if !stalled {
			asked = false
		}
		select {
		case <-ctx.Done():
			return ending{}
		case <-s.ended:
			return ending{failed: true}
		case <-c.changed:
		case <-tick.C:
		}
	}
}

// ask finds out whose fault it is that no frames come.
func (s *session) ask(ctx context.Context) {
	c := s.c
	reached := answers(ctx, c.src, 2*time.Second)
	s.mu.Lock()
	s.unreached = !reached
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case ctx.Err() != nil || c.now.State != Stalled:
	case reached:
		c.now.Cause, c.now.Why = Camera, "the session is open and the camera's host answers, but no frames come"
	default:
		c.now.Cause, c.now.Why = Network, "the session is open, but no frames come, and the camera's host does not answer"
	}
}

// judge is the watchdog: it says whether frames are missing, and for how long.
func (s *session) judge(now time.Time) (stalled bool, kill *ending) {
	o := &s.c.o
	s.mu.Lock()
	heard, frameAt := s.heard, s.frameAt
	s.mu.Unlock()
	patience := o.HangTimeout
	if heard.Equal(s.began) { // it was not heard yet: a hundred megabytes of libraries are being loaded
		patience = max(patience, o.OpenTimeout)
	}
	if now.Sub(heard) > patience {
		return true, &ending{failed: true, cause: Decoder, why: fmt.Sprintf("the capture program hung for %v", patience)}
	}
	if now.Sub(heard) > 4*wire.Beat {
		return true, nil // whether it hangs shows soon; the source is not to blame meanwhile
	}
	if frameAt.IsZero() {
		if now.Sub(s.began) > o.OpenTimeout {
			return true, &ending{failed: true, cause: Camera, why: fmt.Sprintf("no frame within %v of opening", o.OpenTimeout)}
		}
		return now.Sub(s.began) > o.OpenTimeout/2, nil
	}
	age := now.Sub(frameAt)
	if age > o.ReadTimeout {
		return true, &ending{failed: true, cause: Camera, why: fmt.Sprintf("no frame for %v", o.ReadTimeout)}
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := o.StallAfter
	if c.now.FPS > 0 {
		limit = max(limit, time.Duration(3/c.now.FPS*float64(time.Second)))
	}
	if age > limit && c.now.State == Playing {
		c.now.State, c.now.Cause, c.now.Why = Stalled, NoCause, "the session is open, but no frames come"
	}
	return age > limit, nil
}

// passOn tells the child what changed of what is wanted.
func (s *session) passOn(pictures bool, marked uint64) (bool, uint64) {
	c := s.c
	c.mu.Lock()
	want, count, marks := c.pictures, c.marked, c.marks
	c.mu.Unlock()
	if want == pictures && count == marked {
		return pictures, marked
	}
	if s.order(changes(want, want != pictures, marks, count != marked)) != nil {
		return pictures, marked // next time
	}
	return want, count
}

// changes allocates, so it is not a part of passOn.
func changes(pictures, picturesChanged bool, marks Marks, marksChanged bool) (order wire.Order) {
	if picturesChanged {
		order.Pictures = &pictures
	}
	if marksChanged {
		order.Marks = &marks
	}
	return order
}

// order does not wait for a child that does not listen; the watchdog takes it.
func (s *session) order(o wire.Order) error {
	message, err := wire.MarshalOrder(o)
	if err != nil {
		return err
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = s.conn.Write(message)
	return err
}

// conclude says how the session ended, when all that the child said was read.
func (s *session) conclude(verdict ending) ending {
	if !verdict.failed {
		return verdict
	}
	if !s.firstAt.IsZero() {
		verdict.played = s.frameAt.Sub(s.firstAt)
	}
	switch {
	case s.broken != nil:
		verdict.cause, verdict.why = Decoder, s.broken.Error()
	case s.report.State != "":
		verdict.cause, verdict.why = s.report.Cause, s.c.redact.text(s.report.Why)
		if s.report.State == wire.Ended && s.report.Cause == NoCause {
			return ending{over: true, why: verdict.why}
		}
		if verdict.cause == NoCause || (s.report.State == wire.Ended && s.hint != NoCause) {
			verdict.cause, verdict.why = s.hint, s.hintWhy
		}
		if verdict.cause == NoCause {
			verdict.cause, verdict.why = Camera, "the stream can't be opened"
		}
	case verdict.cause == NoCause:
		verdict.cause, verdict.why = Decoder, s.died()
	case verdict.cause == Camera && s.unreached:
		verdict.cause, verdict.why = Network, verdict.why+", and its host does not answer"
	case verdict.cause == Camera && s.firstAt.IsZero() && s.hint != NoCause:
		verdict.cause, verdict.why = s.hint, s.hintWhy
	}
	s.c.count(verdict.cause == Decoder)
	return verdict
}

func (c *Capture) count(crash bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Restarts++
	c.now.Crashes += one(crash)
}

// died says how a child ended that said nothing.
func (s *session) died() string {
	state, err := s.child.Wait()
	if err != nil || state == nil {
		return "the capture program ended"
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return "the capture program was ended by a signal: " + status.Signal().String()
	}
	if s.lastLine != "" {
		return "the capture program: " + s.lastLine
	}
	return "the capture program ended with status " + strconv.Itoa(state.ExitCode())
}
