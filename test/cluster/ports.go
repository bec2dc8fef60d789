package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below those that Linux gives to outgoing connections
// (net.ipv4.ip_local_port_range, from 32768) and that Kubernetes gives to
// Services (from 30000), so that hardly anybody takes one between our look and
// the program's start.
const (
	firstPort = 20000
	lastPort  = 29999
)

// freePorts returns n different ports on which nothing listens.
func freePorts(n int) ([]int, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	var free []int
	for range 1000 {
		if len(free) == n {
			return free, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		held = append(held, l)
		free = append(free, port)
	}
	return nil, fmt.Errorf("found no %d free ports from %d to %d on %s", n, firstPort, lastPort, address)
}

// listen returns a listener on a port that nothing else listens on.
func listen() (*net.TCPListener, error) {
	var err error
	for range attempts {
		var free []int
		if free, err = freePorts(1); err != nil {
			break
		}
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(free[0]))); err == nil {
			return l.(*net.TCPListener), nil
		}
	}
	return nil, err
}
