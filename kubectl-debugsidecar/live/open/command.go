// Package open is kubectl debugsidecar open: a probe's page in the browser.
package open

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/kubeconfig"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
)

// opener opens a page.
type opener struct {
	streams   genericiooptions.IOStreams
	browse    bool
	port      int // the local one; 0 for any
	namespace string
	config    *rest.Config
	core      corev1.CoreV1Interface
	apps      appsv1.AppsV1Interface

	mu sync.Mutex // of the streams
}

// failure is an error of a command that was called rightly.
type failure struct{ error }

// ExitCode is the command's exit status.
func (failure) ExitCode() int { return 1 }

// Command is `open`.
func Command(streams genericiooptions.IOStreams) *cobra.Command {
	o := &opener{streams: streams}
	var kube kubeconfig.Flags
	var noBrowser bool
	c := &cobra.Command{
		Use:   "open POD | deploy/NAME [-n NAMESPACE] [--no-browser]",
		Short: "Show the page of a pod's video probe",
		Long: `Show the page of a pod's video probe in the browser, until Ctrl-C: it fetches the
probe's token by exec, and holds a port-forward from a port of this machine's
loopback. A lost connection is made again while the pod lives. The status is 1 when
the pod has ended.

It takes get on pods, and create and get on pods/exec and pods/portforward; for
deploy/NAME also get on deployments and list on pods. Where a grant gives the probe
the kernel tier, exec is for those whom the grant lists.`,
		Example: `  kubectl debugsidecar open ingest-5d8c7 -n cameras
  kubectl debugsidecar open deploy/ingest --no-browser`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if o.port < 0 || o.port > 65535 {
				return fmt.Errorf("--port: %d is no port", o.port)
			}
			o.browse = !noBrowser
			if err := o.connect(&kube); err != nil {
				return failure{err}
			}
			// As in top: the libraries' log is no news for people.
			klog.SetLogger(logr.Discard())
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if err := o.run(ctx, args[0]); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	f := c.Flags()
	kube.AddTo(f, "namespace of the pod (default: the context's)")
	f.BoolVar(&noBrowser, "no-browser", false, "print the link, which has the token in it, and open no browser")
	f.IntVar(&o.port, "port", 0, "port of this machine's loopback (default: any that is free)")
	c.RegisterFlagCompletionFunc("context", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) { //nolint:errcheck // the flag exists
		return kube.Contexts(), cobra.ShellCompDirectiveNoFileComp
	})
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 || o.connect(&kube) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return o.names(c.Context()), cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

func (o *opener) connect(kube *kubeconfig.Flags) error {
	config, err := kube.Config().ClientConfig()
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if o.namespace, _, err = kube.Config().Namespace(); err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	o.config = rest.CopyConfig(config)
	o.config.WarningHandler = rest.NoWarnings{}
	var err1, err2 error
	o.core, err1 = corev1.NewForConfig(o.config)
	o.apps, err2 = appsv1.NewForConfig(o.config)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	return nil
}

func (o *opener) run(ctx context.Context, name string) error {
	p, err := o.find(ctx, name)
	if err == nil {
		err = o.hold(ctx, p)
	}
	if ctx.Err() != nil {
		return nil // by Ctrl-C
	}
	return err
}

// names are the pods with a probe, for completion.
func (o *opener) names(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	list, err := o.core.Pods(o.namespace).List(ctx, metav1.ListOptions{Limit: 500})
	if err != nil {
		return nil
	}
	var out []string
	for i := range list.Items {
		if _, ok := probes.Of(&list.Items[i]); ok {
			out = append(out, list.Items[i].Name)
		}
	}
	return out
}

// say tells a person how it goes.
func (o *opener) say(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.streams.ErrOut, format+"\n", args...)
}

// print prints the link, and nothing else does.
func (o *opener) print(link string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintln(o.streams.Out, link)
}
