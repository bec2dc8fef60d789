package debug

import (
	"context"
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

// follow copies all that a container says, from its first line until it ends.
func (c *client) follow(ctx context.Context, d *debugger, out io.Writer) error {
	stream, err := c.core.Pods(d.pod.Namespace).GetLogs(d.pod.Name, &corev1.PodLogOptions{Container: d.container, Follow: true}).Stream(ctx)
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("you may not read logs in namespace %s (get pods/log): %s", d.pod.Namespace, allowed)
	}
	if err != nil {
		return fmt.Errorf("reading the log of %s: %w", d.container, err)
	}
	defer stream.Close()
	if _, err := io.Copy(out, stream); err != nil {
		return fmt.Errorf("reading the log of %s: %w", d.container, err)
	}
	return nil
}
