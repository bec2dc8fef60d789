// Command cluster keeps a Kubernetes control plane up, to try things out.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/test/cache"
	"github.com/debugsidecar/debugsidecar/test/cluster/build"
)

const long = `Keep a real Kubernetes control plane up on loopback, to try things out.

It is one for each cache directory (DEBUGSIDECAR_CACHE, by default
~/.cache/debugsidecar). Without a node, pods stay pending. A node takes root and
Debian's packages; ctr, then in PATH, loads images into it, and in-node runs a
program where addresses of pods and Services are reachable.
`

const example = `  eval "$(go run ./test/cluster/cmd/cluster up)"
  kubectl get namespaces
  go run ./test/cluster/cmd/cluster down

  eval "$(go run ./test/cluster/cmd/cluster up --node)"
  ctr images import image.tar
  kubectl run app --image=registry.example/app:1 --image-pull-policy=Never`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		stop()
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:          "cluster",
		Short:        "Keep a Kubernetes control plane up",
		Long:         long,
		Example:      example,
		SilenceUsage: true,
		Args:         cobra.NoArgs,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	add := func(use, short string, run func(*cobra.Command, place) error) *cobra.Command {
		c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			dir, err := cache.Dir()
			if err != nil {
				return err
			}
			return run(c, place{filepath.Join(dir, "cluster")})
		}}
		root.AddCommand(c)
		return c
	}
	add("up", "Start it, unless it is up, and print the environment to use it", up).Flags().Bool(withNode, false, "with a node, on which pods run")
	add("down", "Stop it, and remove all that it held", down)
	add("kubeconfig", "Print the path of its kubeconfig file", kubeconfig)
	background := add(supervise, "", supervisor)
	background.Hidden = true
	background.Flags().Bool(withNode, false, "")
	return root
}

// withNode is a flag of up and of the supervisor.
const withNode = "node"

func up(c *cobra.Command, p place) error {
	node, err := c.Flags().GetBool(withNode)
	if err != nil {
		return err
	}
	log := func(line string) { fmt.Fprintln(c.ErrOrStderr(), line) }
	kube, err := build.Kube(c.Context(), log)
	if err != nil {
		return err
	}
	already, err := p.up(c.Context(), node)
	if err != nil {
		return err
	}
	if already {
		log("the cluster is already up")
	} else {
		log("the cluster is up")
	}
	path := filepath.Dir(kube)
	if p.hasNode() {
		path = p.tools() + ":" + path
	}
	fmt.Fprintf(c.OutOrStdout(), "export KUBECONFIG=%q\nexport PATH=%q:\"$PATH\"\n", p.kubeconfig(), path)
	return nil
}

func down(c *cobra.Command, p place) error {
	was, err := p.down(c.Context())
	if err != nil {
		return err
	}
	if was {
		fmt.Fprintln(c.ErrOrStderr(), "the cluster is down")
	} else {
		fmt.Fprintln(c.ErrOrStderr(), "no cluster is up")
	}
	return nil
}

func kubeconfig(c *cobra.Command, p place) error {
	if !p.isUp() {
		return fmt.Errorf("no cluster is up; start one with: go run ./test/cluster/cmd/cluster up")
	}
	fmt.Fprintln(c.OutOrStdout(), p.kubeconfig())
	return nil
}
