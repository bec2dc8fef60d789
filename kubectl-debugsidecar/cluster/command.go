// Package cluster has the plugin's commands that ask a cluster: status, which
// pods have a sidecar and which went without, doctor, whether the installation is
// sound, and audit, what the policies say of the pods that run already. They
// read, and write nothing; what the user may not
// read is said by name and never taken for good.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/kubeconfig"
)

// options are the flags that all commands have.
type options struct {
	streams genericiooptions.IOStreams
	kube    kubeconfig.Flags
	output  string
	timeout time.Duration
	where   where
}

// failure is an error of a command that was called rightly.
type failure struct{ error }

// ExitCode is the command's exit status.
func (failure) ExitCode() int { return 1 }

// told is a failure about which everything was printed.
type told struct{}

func (told) Error() string { return "" }

// Commands returns the commands.
func Commands(streams genericiooptions.IOStreams) []*cobra.Command {
	return []*cobra.Command{newStatus(streams), newDoctor(streams), newAudit(streams)}
}

// complete gives a command what all have; -n only if it has a meaning.
func (o *options) complete(c *cobra.Command, namespace string, outputs []string, run func(context.Context, *client) error) *cobra.Command {
	c.Args = cobra.NoArgs
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.output != "" && !slices.Contains(outputs, o.output) {
			return fmt.Errorf("--output: %q is none of %s", o.output, strings.Join(outputs, ", "))
		}
		if o.timeout <= 0 {
			return fmt.Errorf("--timeout: %s is no time to wait", o.timeout)
		}
		config, err := o.kube.Config().ClientConfig()
		if err != nil {
			return failure{fmt.Errorf("reading the kubeconfig: %w", err)}
		}
		// The commands ask for many things one after the other.
		config = rest.CopyConfig(config)
		config.QPS, config.Burst, config.WarningHandler = 50, 100, rest.NoWarnings{}
		client, err := newClient(config)
		if err != nil {
			return failure{err}
		}
		ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
		defer cancel()
		if err := run(ctx, client); err != nil {
			return failure{err}
		}
		return nil
	}
	f := c.Flags()
	o.kube.AddTo(f, namespace)
	f.StringVarP(&o.output, "output", "o", "", "format: "+strings.Join(outputs, " or ")+" (default: for people)")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long all takes at most")
	f.StringVar(&o.where.namespace, "webhook-namespace", "", "namespace of the webhook (default: as its configuration says)")
	f.StringVar(&o.where.name, "webhook-name", "", "name of the webhook's objects (default: that of the configuration that is found)")
	values := func(values func() []string) func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return values(), cobra.ShellCompDirectiveNoFileComp
		}
	}
	c.RegisterFlagCompletionFunc("output", values(func() []string { return outputs })) //nolint:errcheck // the flags exist
	c.RegisterFlagCompletionFunc("context", values(o.kube.Contexts))                   //nolint:errcheck
	return c
}

// json writes a value as indented JSON, as kubectl does.
func (o *options) json(v any) error {
	e := json.NewEncoder(o.streams.Out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	return e.Encode(v)
}
