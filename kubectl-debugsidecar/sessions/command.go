// Package sessions is kubectl debugsidecar sessions: who debugs what.
package sessions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/kubeconfig"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// page is how many pods are asked for at once. One may have 1.5 MiB.
const page = 250

var outputs = []string{"json", "wide"}

type options struct {
	streams genericiooptions.IOStreams
	kube    kubeconfig.Flags
	output  string
	timeout time.Duration
	// everywhere is -A; over also lists sessions that are over.
	everywhere, over bool
	now              func() time.Time
}

// failure is an error of a command that was called rightly.
type failure struct{ error }

// ExitCode is the command's exit status.
func (failure) ExitCode() int { return 1 }

// Command is `sessions`.
func Command(streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{streams: streams, now: time.Now}
	c := &cobra.Command{
		Use:   "sessions [-n NAMESPACE | -A] [--all] [-o json|wide]",
		Short: "List who debugs what, since when, until when",
		Long: `List the debug sessions of a namespace: who debugs what, since when, until when,
and why. A session is an ephemeral container, or the debug container in a copy of
a pod; kubectl debug's are listed, too, if the webhook saw them.

What is listed stands in the pods themselves. Who asked is written there by the
webhook; where it was away, or does not look, that is "not recorded".

It takes list on pods.`,
		Example: `  kubectl debugsidecar sessions -n cameras
  kubectl debugsidecar sessions -A --all -o wide`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.output != "" && !slices.Contains(outputs, o.output) {
				return fmt.Errorf("--output: %q is none of %s", o.output, strings.Join(outputs, ", "))
			}
			if o.timeout <= 0 {
				return fmt.Errorf("--timeout: %s is no time to wait", o.timeout)
			}
			ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
			defer cancel()
			if err := o.run(ctx); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	f := c.Flags()
	o.kube.AddTo(f, "namespace of the pods (default: the context's)")
	f.BoolVarP(&o.everywhere, "all-namespaces", "A", false, "sessions in all namespaces")
	f.BoolVar(&o.over, "all", false, "also those that are over")
	f.StringVarP(&o.output, "output", "o", "", "format: "+strings.Join(outputs, " or ")+" (default: for people)")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long all takes at most")
	complete := func(flag string, values func() []string) {
		c.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) { //nolint:errcheck // the flag exists
			return values(), cobra.ShellCompDirectiveNoFileComp
		})
	}
	complete("output", func() []string { return outputs })
	complete("context", o.kube.Contexts)
	return c
}

func (o *options) run(ctx context.Context) error {
	config, err := o.kube.Config().ClientConfig()
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	namespace := metav1.NamespaceAll
	if !o.everywhere {
		if namespace, _, err = o.kube.Config().Namespace(); err != nil {
			return fmt.Errorf("reading the kubeconfig: %w", err)
		}
	}
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{}
	core, err := corev1.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	found, err := o.list(ctx, core.Pods(namespace))
	switch {
	case apierrors.IsForbidden(err) && o.everywhere:
		return errors.New("you may not list pods of all namespaces: name one with -n")
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not list pods in namespace %s", namespace)
	case err != nil:
		return fmt.Errorf("listing pods: %w", err)
	}
	return o.print(found, namespace)
}

// list reads pods a page at a time, and keeps their sessions.
func (o *options) list(ctx context.Context, pods corev1.PodInterface) ([]Session, error) {
	found := []Session{}
	for next := ""; ; {
		list, err := pods.List(ctx, metav1.ListOptions{Limit: page, Continue: next})
		if err != nil {
			return nil, err
		}
		now := o.now()
		for i := range list.Items {
			pod := &list.Items[i]
			for _, s := range session.Of(pod, now) {
				if o.over || s.State.Lives() {
					found = append(found, of(pod, &s))
				}
			}
		}
		if next = list.Continue; next == "" {
			return found, nil
		}
	}
}
