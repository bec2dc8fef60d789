package cluster

import (
	"context"
	"fmt"
	"net"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/bpf/netns"
)

// DialContext connects as net.Dialer does, from the node: to addresses of pods,
// of Services, and of the node itself. A host of the form NAME.NAMESPACE.svc
// stands for the cluster address of that Service. Without a node it connects
// from where the caller is.
func (c *Cluster) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if part := strings.Split(host, "."); len(part) == 3 && part[2] == "svc" {
		var s corev1.Service
		if err := c.get(ctx, "/api/v1/namespaces/"+part[1]+"/services/"+part[0], &s); err != nil {
			return nil, fmt.Errorf("looking up %s: %w", host, err)
		}
		host = s.Spec.ClusterIP
	}
	dial := func() (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
	}
	if c.node == nil {
		return dial()
	}
	if net.ParseIP(host) == nil {
		return nil, fmt.Errorf("the node has no resolver of names, so %s needs an IP address or NAME.NAMESPACE.svc", addr)
	}
	var conn net.Conn
	err = netns.Do(netns.PathOf(c.node.namespaces.init), func() (err error) {
		conn, err = dial()
		return err
	})
	return conn, err
}
