package debug

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
)

// streams are what is connected; a nil one is not.
type streams struct {
	in       io.Reader
	out, err io.Writer
	tty      bool
	sizes    remotecommand.TerminalSizeQueue
}

// attach connects to a container until the connection ends. It tries WebSocket
// first and then SPDY, which API servers before 1.30, and proxies that know no
// WebSocket, take.
func (c *client) attach(ctx context.Context, pod *corev1.Pod, container string, s streams) error {
	request := c.core.RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("attach").
		VersionedParams(&corev1.PodAttachOptions{
			Container: container, Stdin: s.in != nil, Stdout: s.out != nil, Stderr: s.err != nil && !s.tty, TTY: s.tty,
		}, scheme.ParameterCodec)
	webSocket, err := remotecommand.NewWebSocketExecutor(c.config, http.MethodGet, request.URL().String())
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.config, http.MethodPost, request.URL())
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	executor, err := remotecommand.NewFallbackExecutor(webSocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	// What the library logs of a lost connection would be in the middle of the
	// terminal; the error says it, too.
	ctx = klog.NewContext(ctx, logr.Discard())
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{
		Stdin: s.in, Stdout: s.out, Stderr: s.err, Tty: s.tty, TerminalSizeQueue: s.sizes,
	})
}
