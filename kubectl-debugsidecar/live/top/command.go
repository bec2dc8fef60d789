// Package top is kubectl debugsidecar top: a live view of a namespace's probes.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/kubeconfig"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/ask"
)

type options struct {
	streams  genericiooptions.IOStreams
	kube     kubeconfig.Flags
	all      bool
	interval time.Duration
	once     bool
	output   string
	names    []string
}

// failure is an error of a command that was called rightly.
type failure struct{ error }

// ExitCode is the command's exit status.
func (failure) ExitCode() int { return 1 }

const (
	leastInterval = 200 * time.Millisecond
	mostInterval  = time.Hour
	// mostNames is how many pods may be named: each is watched on its own.
	mostNames = 50
)

// Command is `top`.
func Command(streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{streams: streams}
	c := &cobra.Command{
		Use:   "top [-n NAMESPACE | -A] [POD...] [--interval 1s] [--once] [-o json]",
		Short: "Watch the streams of a namespace's probes, the worst first",
		Long: `Watch the streams of a namespace's video probes, the worst first: health and its
cause, when viewers see a stall and with which buffer, and how many packets the
socket, the kernel and the wire lost in the last ten seconds. A probe that can't be
read is a row that says why.

It asks each probe for its metrics through the API server: that takes list and
watch on pods, and get on pods/proxy. Where the output is no terminal, it prints a
table once an interval, and with -o json a line.`,
		Example: `  kubectl debugsidecar top -n cameras
  kubectl debugsidecar top -A --once
  kubectl debugsidecar top -n cameras -o json --interval 5s`,
		RunE: func(c *cobra.Command, names []string) error {
			o.names = names
			if err := o.check(); err != nil {
				return err
			}
			if err := o.run(c.Context()); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	f := c.Flags()
	o.kube.AddTo(f, "namespace of the pods (default: the context's)")
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "pods of all namespaces")
	f.DurationVar(&o.interval, "interval", time.Second, "how often each probe is asked")
	f.BoolVar(&o.once, "once", false, "print one table, after asking each probe twice, and end")
	f.StringVarP(&o.output, "output", "o", "", "format: json, a line for each sample (default: for people)")
	c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))            //nolint:errcheck // the flags exist
	c.RegisterFlagCompletionFunc("context", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) { //nolint:errcheck
		return o.kube.Contexts(), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func (o *options) check() error {
	switch {
	case o.output != "" && o.output != "json":
		return fmt.Errorf("--output: %q is not json", o.output)
	case o.interval < leastInterval || o.interval > mostInterval:
		return fmt.Errorf("--interval: %s is not between %s and %s", o.interval, leastInterval, mostInterval)
	case o.all && len(o.names) > 0:
		return errors.New("a pod's name has a meaning in one namespace only: leave out -A, or the names")
	case len(o.names) > mostNames:
		return fmt.Errorf("%d pods are named, %d are the most: leave out the names to see all of the namespace", len(o.names), mostNames)
	}
	for i, name := range o.names {
		o.names[i] = strings.TrimPrefix(strings.TrimPrefix(name, "pods/"), "pod/")
		if problems := validation.IsDNS1123Subdomain(o.names[i]); len(problems) > 0 {
			return fmt.Errorf("%q is no name of a pod: %s", name, problems[0])
		}
	}
	slices.Sort(o.names)
	o.names = slices.Compact(o.names)
	return nil
}

func (o *options) run(ctx context.Context) error {
	config, err := o.kube.Config().ClientConfig()
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	namespace := metav1.NamespaceAll
	if !o.all {
		if namespace, _, err = o.kube.Config().Namespace(); err != nil {
			return fmt.Errorf("reading the kubeconfig: %w", err)
		}
	}
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{}
	// What the client's libraries have to say would tear the screen; what matters of
	// it is told there.
	klog.SetLogger(logr.Discard())
	core, err := corev1.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	client, err := ask.New(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	w := newWatcher(core, client, namespace, o.names, o.interval)
	end, err := w.start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer end()
	in, isFile := o.streams.In.(*os.File)
	out, isFile2 := o.streams.Out.(*os.File)
	interactive := o.output == "" && !o.once && isFile && isFile2 && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd()))
	switch {
	case interactive:
		return show(ctx, w, in, out)
	case o.once:
		w.twice(ctx)
		if ctx.Err() != nil {
			return errors.New("interrupted before the probes were asked")
		}
		return o.print(w)
	}
	return o.plain(ctx, w)
}

// plain prints once an interval.
func (o *options) plain(ctx context.Context, w *watcher) error {
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := o.print(w)
		switch {
		case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
			return nil // nobody reads on
		case err != nil:
			return err
		}
	}
}
