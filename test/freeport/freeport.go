// Package freeport finds ports for programs that have to be told theirs. Nothing
// holds such a port until its program does; so it is one that hardly anybody
// takes meanwhile.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Below the ports that Linux gives to outgoing connections
// (net.ipv4.ip_local_port_range, from 32768) and those that Kubernetes gives to
// Services (from 30000).
const (
	first = 20000
	last  = 29999
)

// Find returns n different ports on which nothing listens on 127.0.0.1.
func Find(n int) ([]int, error) {
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
		port := first + rand.IntN(last-first+1)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		held = append(held, l)
		free = append(free, port)
	}
	return nil, fmt.Errorf("found no %d free ports from %d to %d on 127.0.0.1", n, first, last)
}
