// Command kubectl-debugsidecar is the kubectl plugin `kubectl debugsidecar`.
package main

import (
	"context"
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/cluster"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/offline"
)

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(offline.Main(context.Background(), os.Args[1:], streams, append(cluster.Commands(streams), live.Commands(streams)...)...))
}
