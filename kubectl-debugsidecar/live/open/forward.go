package open

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
)

// errPort is of a local port that is taken.
var errPort = errors.New("the local port is taken")

// forward holds a port-forward to the probe's page until ctx or the connection
// ends. The local port is chosen if it is 0; ready is called with it.
func (o *opener) forward(ctx context.Context, p *probes.Probe, local, remote int, ready func(port int)) error {
	dialer, err := o.dialer(p)
	if err != nil {
		return err
	}
	opened := make(chan struct{})
	f, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"},
		[]string{fmt.Sprintf("%d:%d", local, remote)}, opened, io.Discard, io.Discard)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() { result <- f.ForwardPorts() }()
	select {
	case <-opened:
		if ports, err := f.GetPorts(); err == nil && len(ports) == 1 {
			ready(int(ports[0].Local))
		}
		return <-result
	case <-ctx.Done(): // it may not be connected yet, and dialling does not end with ctx
		return ctx.Err()
	case err := <-result:
		switch {
		case dialer.err != nil:
			return dialer.err // the forwarder's has its text alone
		case err != nil && dialer.connected:
			return fmt.Errorf("%w: %w", errPort, err)
		}
		return err
	}
}

// dialer connects to a pod and remembers why it could not.
type dialer struct {
	httpstream.Dialer
	either    *fallback
	connected bool
	err       error
}

func (d *dialer) Dial(protocols ...string) (httpstream.Connection, string, error) {
	c, protocol, err := d.Dialer.Dial(protocols...)
	d.connected, d.err = err == nil, d.either.why(err)
	return c, protocol, err
}

// dialer tries WebSocket first and then SPDY, which API servers before 1.31, and
// proxies that know no WebSocket, take.
func (o *opener) dialer(p *probes.Probe) (*dialer, error) {
	url := o.core.RESTClient().Post().Resource("pods").Namespace(p.Namespace).Name(p.Pod).SubResource("portforward").URL()
	webSocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, o.config)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	config := rest.CopyConfig(o.config)
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	older := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	either := &fallback{}
	return &dialer{Dialer: portforward.NewFallbackDialerForStreaming(webSocket, older, either.wanted), either: either}, nil
}
