// Command build makes Kubernetes, Helm or cert-manager ahead of their first use,
// and prints the paths of the binaries.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/debugsidecar/debugsidecar/test/cluster/build"
)

const usage = `usage: build PROGRAM...

PROGRAM is kube (etcd, the programs of Kubernetes and kubectl, in one binary),
helm or certmanager. What is in the cache already (DEBUGSIDECAR_CACHE, by default
~/.cache/debugsidecar) is not built again.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	programs := map[string]func(context.Context, func(string)) (string, error){"kube": build.Kube, "helm": build.Helm, "certmanager": build.CertManager}
	if len(os.Args) == 2 && (os.Args[1] == "--help" || os.Args[1] == "-h") {
		fmt.Println(usage)
		return
	}
	for _, name := range os.Args[1:] {
		if programs[name] == nil {
			exit(2, usage)
		}
	}
	if len(os.Args) == 1 {
		exit(2, usage)
	}
	for _, name := range os.Args[1:] {
		path, err := programs[name](ctx, func(line string) { fmt.Fprintln(os.Stderr, line) })
		if err != nil {
			exit(1, err)
		}
		fmt.Println(path)
	}
}

func exit(status int, why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(status)
}
