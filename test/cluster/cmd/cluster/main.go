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
~/.cache/debugsidecar), and has no node: pods stay pending.
`

const example = `  eval "$(go run ./test/cluster/cmd/cluster up)"
  kubectl get namespaces
  go run ./test/cluster/cmd/cluster down`

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
	add("up", "Start it, unless it is up, and print the environment to use it", up)
	add("down", "Stop it, and remove all that it held", down)
	add("kubeconfig", "Print the path of its kubeconfig file", kubeconfig)
	add(supervise, "", supervisor).Hidden = true
	return root
}

func up(c *cobra.Command, p place) error {
	log := func(line string) { fmt.Fprintln(c.ErrOrStderr(), line) }
	kube, err := build.Kube(c.Context(), log)
	if err != nil {
		return err
	}
	already, err := p.up(c.Context())
	if err != nil {
		return err
	}
	if already {
		log("the cluster is already up")
	} else {
		log("the cluster is up")
	}
	fmt.Fprintf(c.OutOrStdout(), "export KUBECONFIG=%q\nexport PATH=%q:\"$PATH\"\n", p.kubeconfig(), filepath.Dir(kube))
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
