package open

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/klog/v2"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
)

// inside is where a probe's page is, and what it takes.
type inside struct {
	port  int
	token string
}

const (
	tokenTimeout = 15 * time.Second
	// mostSaid bounds what the container may say.
	mostSaid = 4 << 10
)

// tokens look like that: the link goes to a browser's command line.
var tokens = regexp.MustCompile(`^[A-Za-z0-9_-]{32,128}$`)

// fetch asks the probe's own program, as its image may have no other.
func (o *opener) fetch(ctx context.Context, p *probes.Probe) (inside, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	request := o.core.RESTClient().Post().Resource("pods").Namespace(p.Namespace).Name(p.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: p.Container, Command: []string{"sidecar", "token"}, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec)
	webSocket, err1 := remotecommand.NewWebSocketExecutor(o.config, http.MethodGet, request.URL().String())
	spdy, err2 := remotecommand.NewSPDYExecutor(o.config, http.MethodPost, request.URL())
	if err := errors.Join(err1, err2); err != nil {
		return inside{}, fmt.Errorf("connecting: %w", err)
	}
	var either fallback
	executor, err := remotecommand.NewFallbackExecutor(webSocket, spdy, either.wanted)
	if err != nil {
		return inside{}, fmt.Errorf("connecting: %w", err)
	}
	var out, problem bounded
	err = executor.StreamWithContext(klog.NewContext(ctx, logr.Discard()), remotecommand.StreamOptions{Stdout: &out, Stderr: &problem})
	if err != nil {
		return inside{}, notFetched(p, either.why(err), problem.String())
	}
	return understand(out.Bytes())
}

// notFetched says why there is no token. What a refused exec says comes from RBAC,
// or from an admission webhook: ours guards the kernel tier.
func notFetched(p *probes.Probe, err error, said string) error {
	if _, ok := errors.AsType[refused](err); ok {
		return fmt.Errorf("you may not exec in container %s of pod %s, so its token can't be fetched: %w", p.Container, p.Name(), err)
	}
	if said != "" {
		return fmt.Errorf("the probe of pod %s gives no token (is it older than the plugin?): %s", p.Name(), line(said))
	}
	return fmt.Errorf("fetching the token of pod %s: %s", p.Name(), line(err.Error()))
}

// understand reads what `sidecar token` prints. Whoever has power over the pod may
// have written it.
func understand(text []byte) (inside, error) {
	var said struct{ Address, Token string }
	wrong := errors.New("what the probe says of its page is not understood: is it of another version than the plugin?")
	if json.Unmarshal(text, &said) != nil || !tokens.MatchString(said.Token) {
		return inside{}, wrong
	}
	host, portText, err := net.SplitHostPort(said.Address)
	if err != nil {
		return inside{}, wrong
	}
	ip, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return inside{}, wrong
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return inside{}, wrong
	}
	return inside{int(port), said.Token}, nil
}

// bounded keeps the beginning of what is written.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), mostSaid-b.Len())])
	return len(p), nil
}
