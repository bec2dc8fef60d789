// Command kubectl-debugsidecar is the kubectl plugin `kubectl debugsidecar`.
package main

import (
	"context"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/cluster"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/offline"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/sessions"
)

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(offline.Main(context.Background(), os.Args[1:], streams, commands(streams)...))
}

func commands(streams genericiooptions.IOStreams) []*cobra.Command {
	return slices.Concat([]*cobra.Command{debug.Command(streams), sessions.Command(streams)}, cluster.Commands(streams), live.Commands(streams))
}
