package debug

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// maxBefore is how much of a log is shown before a terminal's session.
const maxBefore = int64(64 << 10)

// logSoFar is what a container said until now, as far as it can be had at once.
func (c *client) logSoFar(ctx context.Context, d *debugger) []byte {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	most := maxBefore
	text, err := c.core.Pods(d.pod.Namespace).GetLogs(d.pod.Name, &corev1.PodLogOptions{Container: d.container, LimitBytes: &most}).Do(ctx).Raw()
	if err != nil {
		return nil
	}
	return text
}

// maxWhole is how long a log may be to be read once more; a kubelet keeps 10 MiB
// in a file, and begins another.
const maxWhole = 8 << 20

// follow copies what a container says, from its first line until it ends, and
// returns how much that was.
func (c *client) follow(ctx context.Context, d *debugger, out io.Writer) (int64, error) {
	return c.copyLog(ctx, d, true, 0, out)
}

const (
	// settled is after how long without more a log is taken for whole.
	settled = 300 * time.Millisecond
	// wholeWithin bounds the wait for that.
	wholeWithin = 3 * time.Second
)

// rest copies what a log has beyond what was read of it: a kubelet ends a log when
// its container has ended, and the runtime may still be writing it.
func (c *client) rest(ctx context.Context, d *debugger, read int64, out io.Writer) error {
	for end := time.Now().Add(wholeWithin); read <= maxWhole; {
		n, err := c.copyLog(ctx, d, false, read, out)
		if err != nil {
			return err
		}
		if read += n; n == 0 || time.Now().After(end) {
			return nil
		}
		sleep(ctx, settled)
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

func (c *client) copyLog(ctx context.Context, d *debugger, follow bool, without int64, out io.Writer) (int64, error) {
	stream, err := c.core.Pods(d.pod.Namespace).GetLogs(d.pod.Name, &corev1.PodLogOptions{Container: d.container, Follow: follow}).Stream(ctx)
	if apierrors.IsForbidden(err) {
		return 0, &noLog{fmt.Errorf("you may not read logs in namespace %s (get pods/log), so nothing can be shown without a terminal: %s", d.pod.Namespace, allowed)}
	}
	if err != nil {
		return 0, fmt.Errorf("reading the log of %s: %w", d.container, err)
	}
	defer stream.Close()
	if _, err := io.CopyN(io.Discard, stream, without); err != nil {
		return 0, nil // there is no more
	}
	n, err := io.Copy(out, stream)
	if err != nil {
		return n, fmt.Errorf("reading the log of %s: %w", d.container, err)
	}
	return n, nil
}

// noLog is the lack of the right to read logs.
type noLog struct{ error }

func isNoLog(err error) bool {
	_, is := errors.AsType[*noLog](err)
	return is
}
