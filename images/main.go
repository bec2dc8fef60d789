// Images builds the container images of debugsidecar as OCI archives, from the
// source here and Debian's packages. It takes no container engine.
//
//	go run ./images                     all, into bin/images
//	go run ./images -o DIR webhook      one of webhook, sidecar, debug
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/debugsidecar/debugsidecar/images/build"
)

func main() {
	out := flag.String("o", "bin/images", "directory for the archives and their SBOMs")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: images [-o DIR] [webhook] [sidecar] [debug]\n\nBuilds OCI archives, all three by default. To use one:\n\n    skopeo copy oci-archive:DIR/webhook.tar docker://REGISTRY/debugsidecar/webhook:TAG\n    docker load -i DIR/webhook.tar\n    ctr -n k8s.io images import DIR/webhook.tar\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := os.Getwd()
	if err == nil {
		err = run(ctx, root, *out, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, out string, names []string) error {
	images, err := build.Images(ctx, build.Options{
		Root: root, Out: out, Names: names,
		Log: func(line string) { fmt.Fprintln(os.Stderr, "..", line) },
	})
	if err != nil {
		return err
	}
	const mega = 1e6
	fmt.Printf("%-30s %12s %12s  %s\n", "image", "to pull", "unpacked", "digest")
	for _, i := range images {
		fmt.Printf("%-30s %9.1f MB %9.1f MB  %s\n", i.Name, float64(i.Compressed)/mega, float64(i.Unpacked)/mega, i.Digest)
	}
	return nil
}
