package cluster

import (
	"net"
	"strconv"

	"github.com/debugsidecar/debugsidecar/test/freeport"
)

// listen returns a listener on a port that nothing else listens on.
func listen() (*net.TCPListener, error) {
	var err error
	for range attempts {
		var free []int
		if free, err = freeport.Find(1); err != nil {
			break
		}
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(free[0]))); err == nil {
			return l.(*net.TCPListener), nil
		}
	}
	return nil, err
}
