package debug

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Proxy passes connections on, until it cuts them.
type Proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	conns []net.Conn
	shut  bool
}

// NewProxy listens on a port of loopback, for a server at this address.
func NewProxy(to string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	p := &Proxy{listener: l, to: to}
	go p.serve()
	return p, nil
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		p.mu.Lock()
		if err != nil || p.shut {
			p.mu.Unlock()
			client.Close()
			if server != nil {
				server.Close()
			}
			continue
		}
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
			go func() {
				_, _ = io.Copy(pair[0], pair[1])
				pair[0].Close()
			}()
		}
	}
}

// Cut ends all connections; while it is shut there are no new ones.
func (p *Proxy) Cut(shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns, p.shut = nil, shut
}

// Close ends it.
func (p *Proxy) Close() error {
	p.Cut(true)
	return errors.Join(p.listener.Close())
}
