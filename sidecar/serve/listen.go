package serve

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
)

// portsTried is how many ports are tried when the first is taken.
const portsTried = 100

// listen listens on addr, or on the next free port if that one is taken.
func listen(addr string, fixed bool) (net.Listener, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w; as in :9400", addr, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("address %q: the port is no number up to 65535", addr)
	}
	for tried := uint64(0); ; tried++ {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.FormatUint(port+tried, 10)))
		switch {
		case err == nil:
			return l, nil
		case fixed || !errors.Is(err, syscall.EADDRINUSE):
			return nil, fmt.Errorf("listening on %s: %w", addr, err)
		case tried+1 == portsTried || port+tried == 65535:
			return nil, fmt.Errorf("listening on %s: this port and the %d after it are taken", addr, tried)
		}
	}
}

// listenLocal is listen for an address that must be loopback.
func listenLocal(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("local address %q: %w; as in 127.0.0.1:9401", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("local address %q is not loopback; as in 127.0.0.1:9401", addr)
	}
	return listen(addr, false)
}

// maxConns is how many connections each address has.
const maxConns = 256

// connLimit bounds connections. A new one is never turned away: of the others one
// goes, the longest silent, or if all are being answered the oldest of them. So
// nobody can keep the kubelet's probes out by holding connections open.
type connLimit struct {
	max int

	mu             sync.Mutex
	conns          map[net.Conn]*connPlace
	silent, active list.List // the oldest in front
}

// connPlace is where a connection stands; both are nil for one that is being
// closed.
type connPlace struct {
	in *list.List
	at *list.Element
}

// changed is a http.Server's ConnState.
func (c *connLimit) changed(conn net.Conn, state http.ConnState) {
	if victim := c.update(conn, state); victim != nil {
		_ = victim.Close()
	}
}

func (c *connLimit) update(conn net.Conn, state http.ConnState) (victim net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		c.conns = map[net.Conn]*connPlace{}
	}
	place := c.conns[conn]
	switch state {
	case http.StateClosed, http.StateHijacked:
		if place != nil {
			place.leave()
			delete(c.conns, conn)
		}
		return nil
	case http.StateNew:
		if c.silent.Len()+c.active.Len() >= c.max {
			oldest := c.silent.Front()
			if oldest == nil {
				oldest = c.active.Front()
			}
			victim = oldest.Value.(net.Conn)
			c.conns[victim].leave()
		}
		place = &connPlace{}
		c.conns[conn] = place
	}
	if place == nil || (state != http.StateNew && place.in == nil) {
		return nil // it is being closed
	}
	place.leave()
	place.in = &c.silent
	if state == http.StateActive {
		place.in = &c.active
	}
	place.at = place.in.PushBack(conn)
	return victim
}

func (p *connPlace) leave() {
	if p.in != nil {
		p.in.Remove(p.at)
		p.in, p.at = nil, nil
	}
}
