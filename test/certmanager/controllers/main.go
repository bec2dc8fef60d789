// Command certmanager is the part of cert-manager that issues and renews
// certificates and writes their CAs into webhook configurations, against the
// cluster of a kubeconfig.
//
// It exists because cert-manager's own commands are Go modules that no proxy
// has, while the packages that they consist of are public. What it lacks beside
// them: ACME, Vault and Venafi, ClusterIssuers, Ingresses, Gateways, the
// admission webhook, leader election, and metrics that somebody could read.
//
// When the environment variable KUBE_STOP_AT_EOF is set, the program ends as
// soon as its standard input does. A parent that holds the other end of that
// pipe thus takes its child along even when it is killed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	// A set of its own: controller-runtime has a --kubeconfig in flag's.
	flags := flag.NewFlagSet("certmanager", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "path of the kubeconfig file of the cluster")
	_ = flags.Parse(os.Args[1:]) // it exits
	if *kubeconfig == "" || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: certmanager --kubeconfig FILE")
		os.Exit(2)
	}
	if os.Getenv("KUBE_STOP_AT_EOF") != "" {
		go stopAtEOF()
	}
	ctrl.SetLogger(klog.Background())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig); err != nil {
		fmt.Fprintln(os.Stderr, "certmanager:", err)
		os.Exit(1)
	}
}

// stopAtEOF ends this process when standard input ends, at once: there is
// nothing to save.
func stopAtEOF() {
	_, _ = io.Copy(io.Discard, os.Stdin) // any end is the end
	os.Exit(1)
}

// run runs controllers and injector until ctx ends or one of them does.
func run(ctx context.Context, kubeconfig string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	parts := []func(context.Context, string) error{issue, inject}
	for _, part := range parts {
		go func() { ended <- part(ctx, kubeconfig) }()
	}
	var err error
	for range parts {
		err = errors.Join(err, <-ended)
		cancel()
	}
	return err
}
