package peer

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy is a TCP connection with a fault between a player and a server.
type Proxy struct {
	// URL is the server's, by way of the proxy.
	URL string
	// Limit is how many bytes of the server pass in each connection; 0 is all.
	Limit atomic.Int64
	// Rate is how many bytes a second of the server pass; 0 is all that come.
	Rate atomic.Int64
	// Then is what comes after them.
	Then func(net.Conn)

	listener net.Listener
	target   string
	wg       sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
	closed   bool
}

// Hang leaves the connection open and sends nothing more.
func Hang(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// Cut closes the connection.
func Cut(net.Conn) {}

// Garbage goes on with bytes that mean nothing.
func Garbage(conn net.Conn) {
	b := make([]byte, 1400)
	for seed := uint32(1); ; {
		for i := range b {
			seed = seed*1664525 + 1013904223
			b[i] = byte(seed >> 24)
		}
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

// NewProxy starts a proxy in front of a server. An empty URL is a server that
// only does what then does.
func NewProxy(url string, limit int64, then func(net.Conn)) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, Then: then, open: map[net.Conn]bool{}}
	p.Limit.Store(limit)
	if _, rest, ok := strings.Cut(url, "://"); ok {
		p.target, _, _ = strings.Cut(rest, "/")
		p.URL = strings.Replace(url, p.target, l.Addr().String(), 1)
	} else {
		p.URL = "rtsp://" + l.Addr().String() + "/live"
	}
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(conn) })
		}
	})
	return p, nil
}

// keep is false when the proxy has ended.
func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		conn.Close()
		return false
	}
	p.open[conn] = true
	return true
}

func (p *Proxy) drop(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	delete(p.open, conn)
	p.mu.Unlock()
}

func (p *Proxy) serve(player net.Conn) {
	if !p.keep(player) {
		return
	}
	defer p.drop(player)
	if p.target == "" {
		p.Then(player)
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(server) {
		return
	}
	p.wg.Go(func() {
		defer p.drop(server)
		_, _ = io.Copy(server, player)
	})
	defer server.Close()
	if limit := p.Limit.Load(); limit > 0 {
		if n, _ := io.CopyN(player, server, limit); n == limit {
			p.Then(player)
		}
		return
	}
	p.carry(player, server)
}

// carry is a network that has as much room as Rate says at each moment: what
// does not fit waits, in the sockets.
func (p *Proxy) carry(to, from net.Conn) {
	b := make([]byte, 4<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if rate := p.Rate.Load(); rate > 0 {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// Stop ends the proxy and its connections.
func (p *Proxy) Stop() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for conn := range p.open {
		conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// Deaf returns the address of a port that never answers, as behind a cable that
// is cut: its queue of connections is full, so the kernel drops what comes.
func Deaf() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { err = shortQueue(int(fd)) })
	}
	var fill []net.Conn
	stop = func() {
		l.Close()
		for _, c := range fill {
			c.Close()
		}
	}
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("a port that never answers: %w", err)
	}
	for range 2 { // a queue of 0 holds one, and one is half open
		d := net.Dialer{Timeout: deafFor}
		conn, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			return l.Addr().String(), stop, nil
		}
		fill = append(fill, conn)
	}
	return l.Addr().String(), stop, nil
}

// Handler serves HTTP on loopback until stop is called.
func Handler(h http.Handler) (url string, stop func(), err error) {
	return handle(h, nil)
}

// SecureHandler does so over TLS.
func SecureHandler(cert *x509.Certificate, key crypto.Signer, h http.Handler) (url string, stop func(), err error) {
	return handle(h, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}})
}

func handle(h http.Handler, secure *tls.Config) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	scheme := "http://"
	address := l.Addr().String()
	if secure != nil {
		scheme, l = "https://", tls.NewListener(l, secure)
	}
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	return scheme + address, func() {
		s.Close()
		<-done
	}, nil
}
