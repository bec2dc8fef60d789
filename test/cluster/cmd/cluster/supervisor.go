package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/lock"
)

const (
	supervise = "supervise" // the hidden command that runs in the background
	ready     = "ready"     // what the supervisor tells when the cluster can be used
	tellFD    = 3           // where it tells
)

// supervisor runs the cluster until it gets SIGTERM. To tellFD it
// writes ready, or why it couldn't start.
func supervisor(c *cobra.Command, p place) error {
	syscall.CloseOnExec(tellFD)
	tell := os.NewFile(tellFD, "result")
	held, err := lock.Try(p.lock())
	if err != nil {
		_, _ = fmt.Fprint(tell, err)
		return err
	}
	defer held.Close()
	node, err := c.Flags().GetBool(withNode)
	if err != nil {
		return err
	}
	running, err := p.start(c.Context(), node)
	if err != nil {
		_, _ = fmt.Fprint(tell, err)
		return err
	}
	_, err = fmt.Fprint(tell, ready)
	err = errors.Join(err, tell.Close(), running.Wait(c.Context()))
	if c.Context().Err() == nil {
		// A program of the cluster died. Its log stays until the next start.
		return errors.Join(err, os.Remove(p.kubeconfig()), running.Stop())
	}
	return errors.Join(os.Remove(p.kubeconfig()), running.Stop(), os.RemoveAll(p.tools()), os.Remove(p.pid()), os.RemoveAll(p.data()))
}

// start starts the cluster, after what an earlier one left is removed.
func (p place) start(ctx context.Context, node bool) (*cluster.Cluster, error) {
	if err := errors.Join(os.RemoveAll(p.data()), os.RemoveAll(p.kubeconfig()), os.RemoveAll(p.tools())); err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.pid(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Dir: p.data(), Node: node, Log: func(line string) { fmt.Fprintln(os.Stderr, line) }})
	if err != nil {
		return nil, err
	}
	if node {
		if err := os.Symlink(c.NodeTools, p.tools()); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
	}
	if err := os.Link(c.Kubeconfig, p.kubeconfig()); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}
