package main

import (
	"io"
	"net"
	"os"
	"sync"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

// startRelay connects what comes to the listener, which is outside, with address
// in the node's network namespace.
func startRelay(address string) error {
	f := os.NewFile(protocol.Relay, "relay")
	l, err := net.FileListener(f)
	_ = f.Close()
	if err != nil {
		return err
	}
	go func() {
		for {
			outside, err := l.Accept()
			if err != nil {
				return
			}
			go relay(outside.(*net.TCPConn), address)
		}
	}()
	return nil
}

func relay(outside *net.TCPConn, address string) {
	defer outside.Close()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return // as if the API server didn't listen
	}
	defer conn.Close()
	inside := conn.(*net.TCPConn)
	var both sync.WaitGroup
	both.Go(func() { pass(inside, outside) })
	both.Go(func() { pass(outside, inside) })
	both.Wait()
}

// pass copies until from ends, and ends to's direction alone.
func pass(to, from *net.TCPConn) {
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
	_ = from.CloseRead()
}
