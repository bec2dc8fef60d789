//go:build cgo && customenv

package main

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// probe is who started us, at the other end of the socket.
type probe struct {
	conn *net.UnixConn

	pictures atomic.Bool
	marks    atomic.Pointer[wire.Marks]

	mu  sync.Mutex // of writing
	buf []byte
}

func (p *probe) readOrder(buf []byte) (wire.Order, error) {
	n, err := p.conn.Read(buf)
	if err != nil {
		return wire.Order{}, fmt.Errorf("reading orders: %w", err)
	}
	return wire.ParseOrder(buf[:n])
}

func (p *probe) firstOrder() (wire.Open, error) {
	order, err := p.readOrder(make([]byte, wire.MaxMessage))
	if err != nil {
		return wire.Open{}, err
	}
	if order.Open == nil {
		return wire.Open{}, fmt.Errorf("the first order has no source")
	}
	p.apply(order)
	return *order.Open, nil
}

func (p *probe) apply(order wire.Order) {
	if order.Pictures != nil {
		p.pictures.Store(*order.Pictures)
	}
	if order.Marks != nil {
		p.marks.Store(order.Marks)
	}
}

// takeOrders ends the process when the probe is gone, whatever C code is doing.
func (p *probe) takeOrders() {
	buf := make([]byte, wire.MaxMessage)
	for {
		order, err := p.readOrder(buf)
		if err != nil {
			os.Exit(0)
		}
		p.apply(order)
	}
}

func (p *probe) awaitEnd() { select {} }

func (p *probe) beat() {
	for range time.Tick(wire.Beat) {
		p.mu.Lock()
		p.send(wire.Alive)
		p.mu.Unlock()
	}
}

func (p *probe) report(r wire.Report) {
	message, err := wire.MarshalReport(r)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send(message)
}

func (p *probe) frame(f wire.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buf = wire.AppendFrame(p.buf[:0], f)
	p.send(p.buf)
}

// send fails only when the probe is gone.
func (p *probe) send(message []byte) {
	if _, err := p.conn.Write(message); err != nil {
		os.Exit(0)
	}
}
