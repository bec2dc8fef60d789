// Package tunnel carries RTSP over TLS for a decoder that speaks it in the clear,
// through a socket that nobody else can open or hear. So the certificate is
// verified, the address is looked at right before it is connected to, and a
// failure has a cause.
package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/worker/relay"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/worker/trust"
)

// Port is that of RTSP over TLS.
const Port = "322"

// Tunnel is one connection.
type Tunnel struct {
	// Remote is where it leads.
	Remote netip.AddrPort

	end  *os.File // the decoder's
	mu   sync.Mutex
	fail error
}

// Open connects and shakes hands within the timeout.
func Open(ctx context.Context, u *url.URL, t trust.Trust, timeout time.Duration) (*Tunnel, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = Port
	}
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error { return source.Control(address) }}
	plain, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, relay.Explain(ctx, err)
	}
	secure := tls.Client(plain, t.Config(u.Hostname()))
	if err := secure.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, relay.Explain(ctx, err)
	}
	remote, err := netip.ParseAddrPort(plain.RemoteAddr().String())
	if err != nil {
		plain.Close()
		return nil, err
	}
	ours, theirs, err := pair()
	if err != nil {
		plain.Close()
		return nil, err
	}
	tunnel := &Tunnel{Remote: remote, end: theirs}
	go tunnel.carry(secure, ours)
	go tunnel.carry(ours, secure)
	return tunnel, nil
}

// End is the decoder's, which does not block.
func (t *Tunnel) End() *os.File { return t.end }

// Err is why the connection broke; nil while it stands, and after a regular end.
func (t *Tunnel) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fail
}

// carry ends both sides with the first: RTSP does not go on with one.
func (t *Tunnel) carry(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.EPIPE) {
		t.mu.Lock()
		if t.fail == nil {
			t.fail = relay.Explain(context.Background(), err)
		}
		t.mu.Unlock()
	}
	to.Close()
	from.Close()
}

func pair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	file := os.NewFile(uintptr(fds[0]), "tunnel")
	defer file.Close()
	theirs = os.NewFile(uintptr(fds[1]), "tunnel's end")
	if ours, err = net.FileConn(file); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}
