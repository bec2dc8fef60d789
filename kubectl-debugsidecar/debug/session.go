package debug

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

const (
	// early is how long attaching is tried again while only an event tells that the
	// container has started.
	early = 5 * time.Second
	// silence is after how long of it a person is told that there may be a prompt.
	silence = 1500 * time.Millisecond
	// endIn is how long it takes at most until a pod's status says what its container
	// came to: kubelets look once a second, and tell once more.
	endIn = 5 * time.Second
	// lostIn is the same where the connection ended with an error.
	lostIn = 2 * time.Second
)

// run is a session with a container that has begun, until one of both ends. Its
// error has the container's exit status.
func (o *options) run(ctx context.Context, c *client, d *debugger, b *begun) error {
	asked := containerOf(d.pod, d.container)
	switch {
	case b.phase == ended:
		o.whole(ctx, c, d, b.status.State.Terminated, 0)
		return o.closing(d, b.status.State.Terminated)
	case asked != nil && asked.TTY && asked.Stdin && o.terminal.is:
		return o.interactive(ctx, c, d, b)
	}
	return o.piped(ctx, c, d, asked)
}

// interactive gives the terminal to the container.
func (o *options) interactive(ctx context.Context, c *client, d *debugger, b *begun) error {
	// Our own entrypoint says nothing before somebody looks. Of another image's
	// program, the log has what it said until then.
	screen := newScreen(o.streams.Out, d.foreign && d.added)
	if err := o.terminal.raw(); err != nil {
		return err
	}
	defer o.terminal.restore()
	err := o.connect(ctx, c, d, b, screen)
	_ = screen.open(nil)
	o.terminal.restore()
	if cause := context.Cause(ctx); cause != nil {
		return o.left(d, cause)
	}
	return o.finish(ctx, c, d, err, func(t *corev1.ContainerStateTerminated) {
		if !screen.hasOutput() { // it ended before it could be attached to
			o.whole(ctx, c, d, t, 0)
		}
	})
}

// connect attaches; where the container may not be there yet, again.
func (o *options) connect(ctx context.Context, c *client, d *debugger, b *begun, screen *screen) error {
	begin := time.Now()
	for {
		connected, disconnect := context.WithCancel(ctx)
		if d.foreign && d.added {
			go func() { _ = screen.open(c.logSoFar(connected, d)) }()
			screen.afterSilence(silence, connected.Done(), func() {
				fmt.Fprint(o.streams.ErrOut, "(nothing was said yet; if a prompt is missing, press Enter)\r\n")
			})
		}
		err := c.attach(connected, d.pod, d.container, streams{
			in: o.keyboard.during(connected), out: screen, tty: true,
			sizes: newSizes(o.terminal, !d.added || d.foreign, screen.isSilent, connected.Done()),
		})
		disconnect()
		if err == nil || !b.early || screen.hasOutput() || time.Since(begin) > early || ctx.Err() != nil {
			return err
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

// piped copies all that the container says to standard output, from its first
// word; and standard input to the container, if that was asked for. What a
// program writes to its two outputs comes in one, as a log has it.
func (o *options) piped(ctx context.Context, c *client, d *debugger, asked *corev1.Container) error {
	connected, disconnect := context.WithCancel(ctx)
	defer disconnect()
	if o.stdin && asked != nil && asked.Stdin {
		go func() {
			err := c.attach(connected, d.pod, d.container, streams{in: o.keyboard.during(connected), tty: asked.TTY})
			if err != nil && connected.Err() == nil {
				note(o.streams.ErrOut, "standard input is not passed on any more: %v", err)
			}
		}()
	}
	screen := newScreen(o.streams.Out, false)
	begin := time.Now()
	var read int64
	var err error
	for {
		// The kubelet knows of the container a little later than its runtime.
		if read, err = c.follow(ctx, d, screen); err == nil || screen.hasOutput() || isNoLog(err) || time.Since(begin) > early || ctx.Err() != nil {
			break
		}
		sleep(ctx, pause/5)
	}
	if cause := context.Cause(ctx); cause != nil {
		return o.left(d, cause)
	}
	if isNoLog(err) {
		return failure{fmt.Errorf("%w\n%s may run; in a terminal: %s", err, d.container, d.comeBack())}
	}
	return o.finish(ctx, c, d, err, func(t *corev1.ContainerStateTerminated) { o.whole(ctx, c, d, t, read) })
}

// whole shows what an ended container said beyond what was shown already.
func (o *options) whole(ctx context.Context, c *client, d *debugger, t *corev1.ContainerStateTerminated, shown int64) {
	all := int64(unknown)
	if t != nil {
		_, all = outputOf(t.Message)
	}
	if err := c.rest(ctx, d, shown, all, o.streams.Out); err != nil {
		note(o.streams.ErrOut, "%v", err)
	}
}

// finish finds out how a session came to its end, and says it; if the container
// has ended, atEnd is called before.
func (o *options) finish(ctx context.Context, c *client, d *debugger, streamed error, atEnd func(*corev1.ContainerStateTerminated)) error {
	patience := endIn
	if streamed != nil {
		patience = lostIn
	}
	waiting, stop := context.WithTimeout(ctx, patience)
	defer stop()
	trouble := fmt.Errorf("no answer within %s", patience)
	for s := range c.watchPod(waiting, d.pod, "") {
		if s.gone {
			return failure{fmt.Errorf("pod %s was deleted", d.pod.Name)}
		}
		if s.err != nil {
			trouble = s.err
			continue
		}
		trouble, d.pod = nil, s.pod
		now := standingOf(s.pod, d.container)
		if now.phase != ended && !(now.status != nil && now.status.State.Terminated != nil) {
			continue
		}
		atEnd(now.status.State.Terminated)
		return o.closing(d, now.status.State.Terminated)
	}
	if cause := context.Cause(ctx); cause != nil {
		return o.left(d, cause)
	}
	switch {
	case trouble != nil:
		return failure{fmt.Errorf("the connection was lost, and the API server is not reached: %s\n%s may still run; come back by: %s", printable(trouble.Error()), d.container, d.comeBack())}
	case streamed != nil:
		return failure{fmt.Errorf("the connection was lost: %s\n%s still runs; come back by: %s", printable(streamed.Error()), d.container, d.comeBack())}
	}
	return failure{fmt.Errorf("the connection was lost\n%s still runs; come back by: %s", d.container, d.comeBack())}
}

// left is a session that the user's side ended: a signal came.
func (o *options) left(d *debugger, cause error) error {
	if s, ok := errors.AsType[*signalled](cause); ok {
		note(o.streams.ErrOut, "%s; %s still runs; come back by: %s", s.Error(), d.container, d.comeBack())
		return exitStatus(s.status())
	}
	return failure{cause}
}

// closing says how the container ended, and passes its status on.
func (o *options) closing(d *debugger, t *corev1.ContainerStateTerminated) error {
	if t == nil {
		return nil
	}
	status := fmt.Sprintf("ended with status %d", t.ExitCode)
	text := d.container + " " + status
	if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
		text += " (" + session.Text(t.Reason) + ")"
	}
	// Its termination message, which is what the program wanted to be known.
	message, _ := outputOf(t.Message)
	said := denialLines(errors.New(message))
	ours := len(said) == 1 && strings.HasSuffix(said[0], status) // our entrypoint's words
	switch {
	case ours && t.ExitCode != 0:
		note(o.streams.ErrOut, "%s: %s", d.container, said[0])
	case ours:
	case len(said) == 1:
		note(o.streams.ErrOut, "%s: %s", text, said[0])
	case len(said) > 1:
		note(o.streams.ErrOut, "%s:\n  %s", text, strings.Join(said, "\n  "))
	case t.ExitCode != 0:
		note(o.streams.ErrOut, "%s", text)
	}
	if t.ExitCode != 0 {
		return exitStatus(t.ExitCode)
	}
	return nil
}
