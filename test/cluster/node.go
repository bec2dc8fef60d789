package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/cgroups"
	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

// ErrUnavailable says that this machine lacks what a node takes; the error that
// wraps it says what.
var ErrUnavailable = errors.New("a node is not available here")

// NodeName is the name of the node, where there is one.
const NodeName = "node"

// The node's network. Addresses of the two clusters of two callers may be the
// same, for each has a network namespace of its own.
const (
	nodeAddress = "192.0.2.1" // TEST-NET-1 (RFC 5737)
	nodePrefix  = "/24"
	podCIDR     = "10.244.0.0/24"

	kubeletPort     = 10250
	proxyHealthPort = 10256
)

const (
	containerd = "containerd"
	kubelet    = "kubelet"
	kubeProxy  = "kube-proxy"
)

// node is what a cluster has besides its control plane if it has a node.
type node struct {
	programs   programs
	cgroup     string // below the root of each hierarchy
	namespaces *namespaces
}

// prepareNode makes the node's namespaces, and a relay outside that makes the
// API server's port reachable.
func (c *Cluster) prepareNode(ctx context.Context, temporary bool) error {
	name, err := cgroups.NewName()
	if err != nil {
		return err
	}
	c.node = &node{cgroup: name}
	if c.node.programs, err = findPrograms(ctx, c.nodeFile("bin"), c.log); err != nil {
		return err
	}
	relay, err := listen()
	if err != nil {
		return err
	}
	defer relay.Close()
	// That of the API server is the same outside and inside, so that one kubeconfig
	// serves both. The others are inside alone, where all are free.
	c.ports = ports{api: relay.Addr().(*net.TCPAddr).Port, etcd: 2379, etcdPeer: 2380}
	c.node.namespaces, err = enter(c.node.programs.node, protocol.Setup{
		Name:      NodeName,
		Address:   nodeAddress + nodePrefix,
		Dir:       c.dir,
		Temporary: temporary,
		Cgroup:    c.node.cgroup,
		Relay:     relay.Addr().String(),
		DNS:       net.JoinHostPort(nodeAddress, "53"),
		API: protocol.API{
			URL:         c.url(c.ports.api),
			CA:          c.pki.path("ca.crt"),
			Certificate: c.pki.path("admin.crt"),
			Key:         c.pki.path("admin.key"),
		},
	}, relay, func(err error) {
		if c.running.Err() == nil {
			c.over(err)
		}
	})
	if err != nil {
		return err
	}
	return c.writeTools()
}

// writeTools writes programs for people who look into the node.
func (c *Cluster) writeTools() error {
	c.NodeTools = c.nodeFile("tools")
	if err := os.Mkdir(c.NodeTools, 0o700); err != nil {
		return err
	}
	pid := c.node.namespaces.init
	for name, command := range map[string]string{
		"ctr":     fmt.Sprintf("%q --address %s --namespace k8s.io", c.node.programs.path("usr/bin/ctr"), c.node.socket()),
		"in-node": fmt.Sprintf("nsenter --target %d --mount --net --uts --ipc --pid --", pid),
	} {
		if err := os.WriteFile(filepath.Join(c.NodeTools, name), []byte("#!/bin/sh\nexec "+command+` "$@"`+"\n"), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// socket returns where containerd's socket is for a process outside.
func (n *node) socket() string {
	return fmt.Sprintf("/proc/%d/root%s", n.namespaces.init, containerdSocket)
}

// startNode starts the node's programs besides containerd, which runs already,
// and waits until pods can run.
func (c *Cluster) startNode(ctx context.Context, binary string) error {
	if err := c.run(binary, kubelet, c.kubeletArgs()); err != nil {
		return err
	}
	if err := c.run(binary, kubeProxy, []string{"--config=" + c.nodeFile("kube-proxy.yaml")}); err != nil {
		return err
	}
	if err := c.loadPause(ctx); err != nil {
		return err
	}
	if err := c.poll(ctx, "routes to Services", c.routing); err != nil {
		return err
	}
	return c.poll(ctx, "the node", c.nodeReady)
}

// nodeReady returns nil once pods are scheduled to the node.
func (c *Cluster) nodeReady(ctx context.Context) error {
	var n corev1.Node
	if err := c.get(ctx, "/api/v1/nodes/"+NodeName, &n); err != nil {
		return err
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return fmt.Errorf("the kubelet says: %s", condition.Message)
		}
	}
	if len(n.Status.Conditions) == 0 || len(n.Spec.Taints) > 0 {
		return fmt.Errorf("taints are %v", n.Spec.Taints)
	}
	return nil
}

// routing returns nil once kube-proxy has set its rules.
func (c *Cluster) routing(ctx context.Context) error {
	client := http.Client{Transport: &http.Transport{DialContext: c.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, strconv.Itoa(proxyHealthPort))+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// nodeFile returns a path below the node's own part of the cluster's directory.
func (c *Cluster) nodeFile(name ...string) string {
	return filepath.Join(append([]string{c.dir, "node"}, name...)...)
}

func requireRoot() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it takes root", ErrUnavailable)
	}
	return nil
}
