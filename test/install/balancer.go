package install

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// balancer sends each connection to the next ready replica. Readiness is asked
// for regularly, as a kubelet does, so it is known a moment late.
type balancer struct {
	listener net.Listener
	replicas func() []*Replica
	mu       sync.Mutex
	ready    []*Replica
	next     atomic.Uint64
	done     chan struct{}
	wg       sync.WaitGroup
}

const readinessPeriod = 100 * time.Millisecond

func listen(replicas func() []*Replica) (*balancer, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the API server: %w", err)
	}
	b := &balancer{listener: l, replicas: replicas, done: make(chan struct{})}
	b.wg.Go(b.accept)
	b.wg.Go(b.watch)
	return b, nil
}

func (b *balancer) port() string {
	_, port, _ := net.SplitHostPort(b.listener.Addr().String())
	return port
}

func (b *balancer) close() {
	close(b.done)
	b.listener.Close()
	b.wg.Wait()
}

func (b *balancer) watch() {
	tick := time.NewTicker(readinessPeriod)
	defer tick.Stop()
	for {
		var ready []*Replica
		for _, r := range b.replicas() {
			if r.ready() {
				ready = append(ready, r)
			}
		}
		b.mu.Lock()
		b.ready = ready
		b.mu.Unlock()
		select {
		case <-b.done:
			return
		case <-tick.C:
		}
	}
}

func (b *balancer) pick() *Replica {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return nil
	}
	return b.ready[b.next.Add(1)%uint64(len(b.ready))]
}

func (b *balancer) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		r := b.pick()
		if r == nil {
			conn.Close()
			continue
		}
		go forward(conn, r.address)
	}
}

// forward copies both ways until both ends are through.
func forward(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		io.Copy(server, client)            //nolint:errcheck // either end may go at any time
		server.(*net.TCPConn).CloseWrite() //nolint:errcheck // likewise
		close(done)
	}()
	io.Copy(client, server)            //nolint:errcheck // likewise
	client.(*net.TCPConn).CloseWrite() //nolint:errcheck // likewise
	<-done
}
