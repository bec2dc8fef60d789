// Command demo shows the main job on a real Kubernetes: it builds what is missing,
// starts a cluster, installs the chart with Helm, and then does what a user would
// do. As root the cluster has a node, on which all runs; otherwise, or with
// NODE=0, it is a control plane, and a capture is replayed. With ONCE=1 it ends
// after the show, with status 0 only if everything that it showed was true.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/cluster/build"
	"github.com/debugsidecar/debugsidecar/test/install"
	"github.com/debugsidecar/debugsidecar/test/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("ONCE") != ""); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// values are what the demo sets of the chart.
const values = `
grants:
- namespace: cameras
  profiles: [video-probe]
images:
  sidecar: registry.example/debugsidecar/stand-in:0.1
`

func run(ctx context.Context, once bool) error {
	root, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the repository: %w", err)
	}
	dir, err := os.MkdirTemp("", "debugsidecar-demo-")
	if err != nil {
		return fmt.Errorf("making a directory for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	s := &show{out: os.Stdout, root: root}
	s.heading("debugsidecar: a label on a pod brings it a sidecar, and policies say what may be debugged")
	if err := prepare(ctx, s); err != nil {
		return err
	}
	c, err := s.all(ctx, dir)
	if c != nil {
		defer c.Stop() //nolint:errcheck // it is thrown away
	}
	if err != nil {
		return err
	}
	if s.failed > 0 {
		return fmt.Errorf("%d of what was to be shown did not come true", s.failed)
	}
	if once {
		return nil
	}
	s.goodbye(c)
	select {
	case <-ctx.Done():
		return nil
	case err := <-died(ctx, c):
		return fmt.Errorf("the cluster ended: %w", err)
	}
}

// all shows it on a node, or where there can be none, on a control plane alone.
func (s *show) all(ctx context.Context, dir string) (*cluster.Cluster, error) {
	var n *node.Node
	err := fmt.Errorf("NODE=0: %w", cluster.ErrUnavailable)
	if os.Getenv("NODE") != "0" {
		n, err = s.startNode(ctx, dir)
	}
	if err == nil {
		return n.Cluster, s.onNode(ctx, n)
	}
	if !errors.Is(err, cluster.ErrUnavailable) {
		return nil, err
	}
	s.say("Without a node, on a control plane alone: " + err.Error())
	c, i, err := start(ctx, s, dir)
	if err != nil {
		return c, err
	}
	defer i.Close()
	if err := (&online{show: s, cluster: c, webhook: i.URL()}).run(ctx); err != nil {
		return c, err
	}
	return c, s.stall(ctx)
}

func died(ctx context.Context, c *cluster.Cluster) <-chan error {
	out := make(chan error, 1)
	go func() { out <- c.Wait(ctx) }()
	return out
}

// prepare builds Kubernetes and Helm. While that takes long, it shows the job
// without a cluster.
func prepare(ctx context.Context, s *show) error {
	built := make(chan error, 1)
	go func() {
		err := s.programs(ctx)
		if err == nil {
			_, err = build.Kube(ctx, s.progress)
		}
		if err == nil {
			_, err = build.Helm(ctx, s.progress)
		}
		built <- err
	}()
	select {
	case err := <-built:
		return err
	case <-time.After(2 * time.Second):
	}
	s.say("Kubernetes is compiled from its source, once (about 20 CPU-minutes). Meanwhile, the same job without a cluster:")
	if err := s.offline(ctx); err != nil {
		return err
	}
	s.say("Now waiting for the compiler.")
	return <-built
}

func start(ctx context.Context, s *show, dir string) (*cluster.Cluster, *install.Installation, error) {
	s.heading("A Kubernetes control plane, and the chart in it")
	c, err := cluster.Start(ctx, cluster.Options{Log: s.progress})
	if err != nil {
		return nil, nil, err
	}
	begin := time.Now()
	i, err := install.Install(ctx, c, install.Options{
		Binary: filepath.Join(s.root, "bin", "webhook"),
		Chart:  filepath.Join(s.root, "charts", "debugsidecar"),
		Dir:    dir,
		Values: values,
	})
	if err != nil {
		return c, nil, err
	}
	s.progress(fmt.Sprintf("helm installed the chart in %.1f s", time.Since(begin).Seconds()))
	r, err := i.StartReplica(ctx)
	if err != nil {
		i.Close()
		return c, nil, err
	}
	s.progress(fmt.Sprintf("the webhook was ready after %.2f s, with a certificate of its own", r.StartToReady.Seconds()))
	s.say("The chart's values grant the kernel tier to profile video-probe in namespace cameras, and to nobody else.")
	s.say("There is no node here, so pods are admitted and then stay pending.")
	return c, i, nil
}

// webhook builds the webhook, static as in its image.
func (s *show) programs(ctx context.Context) error {
	s.progress("compiling the webhook and the sidecar")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(s.root, "bin")+"/", "./webhook", "./sidecar")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the webhook and the sidecar: %w\n%s", err, out)
	}
	return nil
}

// command runs a program as a user would and returns what it printed.
func (s *show) command(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}
