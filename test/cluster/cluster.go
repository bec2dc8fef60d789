// Package cluster starts a real Kubernetes on loopback, for tests and for trying
// things out: etcd, kube-apiserver and kube-controller-manager of one release,
// with a PKI, RBAC and the admission plugins of a real cluster.
//
// Without a node it takes no privileges. Pods can be created and stay pending; a
// webhook is reached by a URL on loopback.
//
// With a node (Options.Node) pods run. All of it, the API server too, is then in
// namespaces of its own (network, mounts, processes, IPC, host name), so that it
// changes nothing on the machine: the API server reaches pods and Services, and
// a relay makes it reachable from outside, under the same address. What is on
// the machine's loopback can't be reached from inside, and neither can any
// other network: images come by LoadImage. Cluster DNS knows Services and pods
// of headless ones. There is no hostPort, and nothing that enforces a
// NetworkPolicy.
//
// Everything ends when Stop is called, and when the process that started it ends
// in any other way, SIGKILL included.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/debugsidecar/debugsidecar/test/cluster/build"
	"github.com/debugsidecar/debugsidecar/test/cluster/internal/cgroups"
	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
	"github.com/debugsidecar/debugsidecar/test/freeport"
)

const (
	address  = "127.0.0.1"
	attempts = 3 // if somebody takes one of our ports
	patience = 2 * time.Minute
)

// Options say how a cluster differs from the usual one. The zero value is a
// cluster with a controller manager in a temporary directory.
type Options struct {
	// Dir is an empty or missing directory for data, keys and logs, which stays
	// after Stop. Default: a temporary directory that Stop removes.
	Dir string
	// Components are started besides etcd and kube-apiserver.
	// Default (nil): ControllerManager, and Scheduler if there is a node.
	Components []Component
	// Node gives the cluster a node, on which pods run: containerd, runc, a
	// kubelet and kube-proxy. It takes root and Debian's packages; where they
	// can't be had, the error wraps ErrUnavailable.
	Node bool
	// APIServerArgs come after the usual arguments of kube-apiserver, as in
	// "--enable-admission-plugins=AlwaysPullImages" (these add up).
	APIServerArgs []string
	// Log gets lines that tell what is being built and started. May be nil.
	Log func(line string)
}

// Cluster is a running control plane.
type Cluster struct {
	// Kubeconfig is the path of a kubeconfig file for a member of system:masters.
	Kubeconfig string
	// Config is the same for clients in Go, without client-side throttling.
	Config *rest.Config
	// Bin is the directory of kubectl and of the programs of Kubernetes.
	Bin string
	// NodeTools is the directory of two programs for people, if there is a node:
	// ctr, containerd's client, and in-node, which runs a program in the node's
	// network and mounts.
	NodeTools string

	dir       string
	held      *os.File // lock of a temporary directory; nil if dir is not one
	log       func(string)
	pki       pki
	ports     ports
	processes []*process
	running   context.Context // until Stop, or until a program ends
	over      context.CancelCauseFunc
	helm      helm
	node      *node // nil if there is none
}

// Start starts a control plane and returns when it can be used: the API server
// is ready, and with a controller manager, the default namespace has its service
// account. It builds Kubernetes first if the cache hasn't got it.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if o.Components == nil {
		o.Components = []Component{ControllerManager}
		if o.Node {
			o.Components = append(o.Components, Scheduler)
		}
	}
	if o.Node {
		if err := requireRoot(); err != nil {
			return nil, err
		}
	}
	binary, err := build.Kube(ctx, o.Log)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		c := &Cluster{Bin: filepath.Dir(binary), log: o.Log}
		c.running, c.over = context.WithCancelCause(context.Background())
		err := c.start(ctx, binary, o)
		if err == nil {
			return c, nil
		}
		err = errors.Join(err, c.kill())
		_ = c.held.Close()
		if o.Dir == "" && errors.Is(err, ErrUnavailable) { // nothing to look at
			_ = os.RemoveAll(c.dir)
		}
		if attempt < attempts && portTaken(err) {
			_ = os.RemoveAll(c.dir)
			continue
		}
		if o.Node && ctx.Err() == nil && cgroups.Unified() {
			err = fmt.Errorf("%w, perhaps: with cgroup v2 alone it was never tried: %w", ErrUnavailable, err)
		}
		return nil, fmt.Errorf("starting a cluster in %s: %w", c.dir, err)
	}
}

func portTaken(err error) bool {
	var end *earlyEnd
	return errors.As(err, &end) && strings.Contains(end.tail, "address already in use")
}

func (c *Cluster) start(ctx context.Context, binary string, o Options) error {
	begin := time.Now()
	if err := c.prepare(ctx, o); err != nil {
		return err
	}
	if c.node != nil {
		if err := c.run(c.node.programs.path("usr/bin/containerd"), containerd, c.containerdArgs()); err != nil {
			return err
		}
	}
	if err := c.run(binary, etcd, c.etcdArgs()); err != nil {
		return err
	}
	if err := c.run(binary, apiServer, append(c.apiServerArgs(), o.APIServerArgs...)); err != nil {
		return err
	}
	if err := c.waitFor(ctx, "/readyz"); err != nil {
		return err
	}
	controllers := false
	for _, component := range o.Components {
		args, err := c.args(component)
		if err != nil {
			return err
		}
		if err := c.run(binary, string(component), args); err != nil {
			return err
		}
		controllers = controllers || component == ControllerManager
	}
	if c.node != nil {
		if err := c.startNode(ctx, binary); err != nil {
			return err
		}
	}
	if controllers {
		if err := c.waitFor(ctx, "/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
			return err
		}
	}
	c.log(fmt.Sprintf("started Kubernetes at %s in %.1f s", c.Config.Host, time.Since(begin).Seconds()))
	return nil
}

// prepare makes the directory and all the files that the programs read.
func (c *Cluster) prepare(ctx context.Context, o Options) error {
	if err := c.makeDir(o.Dir); err != nil {
		return err
	}
	free, err := freeport.Find(3)
	if err != nil {
		return err
	}
	c.ports = ports{api: free[0], etcd: free[1], etcdPeer: free[2]}
	c.pki = pki{filepath.Join(c.dir, "pki")}
	if o.Node {
		if err := c.prepareNode(ctx, o.Dir == ""); err != nil {
			return err
		}
	}
	if err := c.pki.writeAll(net.ParseIP(address), net.ParseIP(serviceAddress), net.ParseIP(nodeAddress)); err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	if c.node != nil {
		if err := errors.Join(c.writeContainerd(), c.writeKubelet(), c.writeProxy()); err != nil {
			return err
		}
	}
	for _, user := range []string{"admin", string(ControllerManager), string(Scheduler), kubelet, kubeProxy} {
		if err := c.writeKubeconfig(user); err != nil {
			return err
		}
	}
	c.Kubeconfig = c.kubeconfig("admin")
	c.Config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return err
	}
	c.Config.QPS = -1
	return nil
}

func (c *Cluster) run(binary, name string, args []string) error {
	log := filepath.Join(c.dir, name+".log")
	if c.node != nil {
		return c.node.namespaces.start(protocol.Start{Name: name, Binary: binary, Args: args, Env: c.node.programs.env(), Log: log})
	}
	p, err := startProcess(binary, name, log, args, func(p *process) {
		if c.running.Err() == nil {
			c.over(newEarlyEnd(p.name, p.log, p.err))
		}
	})
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	return nil
}

// waitFor waits until the API server answers a GET of path with 200.
func (c *Cluster) waitFor(ctx context.Context, path string) error {
	return c.poll(ctx, path, func(ctx context.Context) error { return c.get(ctx, path, nil) })
}

// get gets what the API server has at path, and decodes it into object unless
// that is nil.
func (c *Cluster) get(ctx context.Context, path string, object any) error {
	client, err := rest.HTTPClientFor(c.Config)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Config.Host+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	if object == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(object)
}

// poll calls try until it returns nil, while the cluster's programs run.
func (c *Cluster) poll(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not there after %s", patience))
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.running.Done():
			return context.Cause(c.running)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (%w)", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

var errStopped = errors.New("the cluster was stopped")

// Stop ends all programs, at once, for there is nothing to save. It returns when
// they are gone. Calling it again does nothing.
func (c *Cluster) Stop() error {
	err := c.kill()
	if c.held == nil {
		return err
	}
	defer c.held.Close()
	return errors.Join(err, os.RemoveAll(c.dir))
}

// kill ends the programs, those first that need the others.
func (c *Cluster) kill() error {
	c.over(errStopped)
	if c.node != nil && c.node.namespaces != nil {
		return c.node.namespaces.close()
	}
	for _, p := range slices.Backward(c.processes) {
		p.kill()
	}
	return nil
}

// Wait returns nil after Stop, and an error as soon as a program of the cluster
// ends by itself or ctx does.
func (c *Cluster) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.running.Done():
	}
	if err := context.Cause(c.running); !errors.Is(err, errStopped) {
		return err
	}
	return nil
}
