package debug

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	// settled is after how long without more a log is taken for whole, if nobody
	// says how long it is.
	settled = 300 * time.Millisecond
	// wholeWithin bounds the wait for that.
	wholeWithin = 5 * time.Second
	// unknown is the length of a log of which nobody says it.
	unknown = -1
)

// outputOf splits the last words of our entrypoint: what it said, and how long the
// container's log is (sidecar/diagnose/debug.go), unknown if it does not say.
func outputOf(message string) (said string, bytes int64) {
	message = strings.TrimRight(message, "\n")
	i := strings.LastIndex(message, "; ")
	if i < 0 {
		return message, unknown
	}
	number, ok := strings.CutSuffix(message[i+len("; "):], " bytes of output")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 0 {
		return message, unknown
	}
	return message[:i], n
}

// rest copies what a log has beyond what was read of it: a kubelet ends a log when
// its container has ended, and the runtime may still be writing it. If it is known
// how long all of it is, that much is waited for; else until it grows no more.
func (c *client) rest(ctx context.Context, d *debugger, read, all int64, out io.Writer) error {
	end := time.Now().Add(wholeWithin)
	if all == unknown {
		sleep(ctx, settled)
	}
	for all == unknown && read <= maxWhole || read < all {
		n, err := c.copyLog(ctx, d, false, read, out)
		read += n
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (isNoLog(err) || all == unknown || !time.Now().Before(end)):
			return err
		case all == unknown && n == 0:
			return nil
		case read >= all && all != unknown:
		case !time.Now().Before(end) && all == unknown:
			return errors.New("the log still grows; the rest is not shown")
		case !time.Now().Before(end):
			return fmt.Errorf("the log has %d of %d bytes of output; the rest can't be had of this node", read, all)
		case n == 0 || all == unknown:
			sleep(ctx, settled)
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
	if _, err := io.CopyN(io.Discard, stream, without); errors.Is(err, io.EOF) {
		return 0, nil // there is no more
	} else if err != nil {
		return 0, fmt.Errorf("reading the log of %s: %w", d.container, err)
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
