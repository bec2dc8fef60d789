// Package relay fetches a stream over HTTP for a decoder that should not
// resolve, connect or follow redirects itself. The decoder reads a pipe; so TLS
// is verified, each address is looked at right before it is connected to, and a
// failure has a cause instead of being an end of file.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/worker/trust"
)

// maxRedirects is how many are followed.
const maxRedirects = 5

// Relay is one stream on its way into a pipe.
type Relay struct {
	pipe *os.File
	done chan struct{}
	end  error // set before done is closed
}

// Error is why a stream could not be fetched, or ended.
type Error struct {
	Cause wire.Cause
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Start requests the stream and returns when its headers are there. A server
// that is silent for longer than timeout has stalled; then the pipe ends. The
// relay ends with ctx, with the stream, or when nobody reads the pipe any more.
func Start(ctx context.Context, u *url.URL, t trust.Trust, timeout time.Duration) (*Relay, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	response, err := get(ctx, u, t, timeout)
	if err != nil {
		err = Explain(ctx, err)
		cancel(nil)
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		cancel(nil)
		response.Body.Close()
		return nil, err
	}
	relay := &Relay{pipe: r, done: make(chan struct{})}
	// Each read moves the deadline.
	silence := time.AfterFunc(timeout, func() { cancel(errSilent) })
	go func() {
		defer cancel(nil)
		defer silence.Stop()
		defer response.Body.Close()
		body := &watched{Reader: response.Body, seen: func() { silence.Reset(timeout) }}
		_, err := io.Copy(w, body)
		if err == nil && !body.some.Load() {
			err = &Error{wire.Camera, errors.New("the server sent nothing")}
		}
		relay.end = Explain(ctx, err)
		w.Close()
		close(relay.done)
	}()
	return relay, nil
}

// Pipe is the stream. The caller closes it.
func (r *Relay) Pipe() *os.File { return r.pipe }

// End waits for the relay's end and says why it ended; nil is the regular end
// of the stream.
func (r *Relay) End() error {
	<-r.done
	return r.end
}

var (
	errSilent    = errors.New("the server is silent")
	errRedirects = errors.New("the server redirects too often")
)

func get(ctx context.Context, u *url.URL, t trust.Trust, timeout time.Duration) (*http.Response, error) {
	dialer := &net.Dialer{
		Timeout: timeout,
		Control: func(_, address string, _ syscall.RawConn) error { return source.Control(address) },
	}
	client := &http.Client{
		// No proxy from the environment: it would do the resolving.
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, TLSClientConfig: t.Config(""),
			TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errRedirects
			}
			s, err := source.Parse(r.URL.String(), false)
			if err == nil && s.Kind != source.HTTP {
				err = fmt.Errorf("a redirect to scheme %s", r.URL.Scheme)
			}
			if err != nil {
				return &Error{wire.Refused, fmt.Errorf("the server redirects to where it must not: %w", err)}
			}
			return nil
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "debugsidecar")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		cause := wire.Camera
		if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
			cause = wire.Credentials
		}
		return nil, &Error{cause, fmt.Errorf("the server answers %s", response.Status)}
	}
	return response, nil
}

// Explain finds an error's cause. The text of net/http has the URL in it, so
// only what is inside is kept.
func Explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if errors.Is(context.Cause(ctx), errSilent) {
		return &Error{wire.Camera, errSilent}
	}
	if cause, why, ok := trust.Explain(err); ok {
		return &Error{cause, why}
	}
	if errors.Is(err, source.ErrAddress) {
		return &Error{wire.Refused, err}
	}
	if unreachable(err) {
		return &Error{wire.Network, err}
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return &Error{wire.Camera, errSilent}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, errRedirects):
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
	default:
		err = fmt.Errorf("the server does not speak the protocol: %w", err)
	}
	return &Error{wire.Camera, err}
}

// unreachable says whether the way to the host is at fault, and not the host:
// one that refuses a connection was reached.
func unreachable(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// watched tells of each read that brought something.
type watched struct {
	io.Reader
	seen func()
	some atomic.Bool
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if n > 0 {
		w.some.Store(true)
		w.seen()
	}
	return n, err
}
