package offline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/manifest"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

func newInject(streams genericiooptions.IOStreams) *cobra.Command {
	o := newOptions(streams)
	var output string
	c := &cobra.Command{
		Use:   "inject -f FILE",
		Short: "Print manifests with the sidecars that the webhook would inject",
		Long: `Print manifests with the sidecars that the webhook would inject.

A pod's label ` + inject.Label + ` chooses the profile, or its namespace's; in a
workload, the labels of its pod template. Documents that need no sidecar come out
as they went in. What was left out, and why, goes to standard error, a line per
object. Injecting twice gives the same as injecting once.`,
		Example: `  # What would be created
  kubectl debugsidecar inject -f ingest.yaml

  # A whole directory, with a profile, into a cluster
  kubectl debugsidecar inject -f manifests/ --profile video-probe | kubectl apply -f -`,
	}
	subcommand(c, o, func() error { return oneOf("output", output, "yaml", "json") },
		func(context.Context) error { return o.rewrite(output, (*cluster).inject) })
	addOutput(c, &output, "yaml or json", "yaml", "json")
	return c
}

func addOutput(c *cobra.Command, output *string, usage string, values ...string) {
	c.Flags().StringVarP(output, "output", "o", "", "output format: "+usage)
	completeValues(c, "output", values...)
}

// rewrite changes every pod and writes all documents, unless anything failed: a
// part of a manifest is worse than none.
func (o *options) rewrite(output string, change func(*cluster, *pod) error) error {
	c, err := o.load()
	if c == nil {
		return err
	}
	if err := errors.Join(err, c.each(change)); err != nil {
		return err
	}
	if output == "json" {
		return manifest.WriteJSON(o.streams.Out, c.documents)
	}
	return manifest.WriteYAML(o.streams.Out, c.documents)
}

// each calls do for each pod, and joins the errors.
func (c *cluster) each(do func(*cluster, *pod) error) error {
	var errs []error
	for i := range c.pods {
		errs = append(errs, do(c, &c.pods[i]))
	}
	return errors.Join(errs...)
}

func (c *cluster) inject(p *pod) error {
	f, err := c.facts(p)
	if err != nil {
		return err
	}
	d := inject.Decide(f)
	if d.Refused != "" {
		return fmt.Errorf("%s: %s", p.name(), d.Refused)
	}
	if line := shortfall(d); line != "" {
		fmt.Fprintf(c.options.streams.ErrOut, "%s: %s\n", p.name(), line)
	}
	return p.apply(d.Patch())
}

// shortfall says in a line what a pod did not get; empty if it got everything.
func shortfall(d *inject.Decision) string {
	if !d.Inject {
		return "no sidecar: " + d.Reason
	}
	var given []string
	for _, s := range d.Steps {
		if !s.OK {
			given = append(given, s.Detail)
		}
	}
	if len(given) == 0 {
		return ""
	}
	return "injected, but " + strings.Join(given, "; ")
}

// apply carries a decision's patch out.
func (p *pod) apply(ops []inject.Operation) error {
	if len(ops) == 0 {
		return nil
	}
	patched, err := patch(p.manifest.Content, ops)
	if err != nil {
		return fmt.Errorf("%s: applying the patch: %w", p.name(), err)
	}
	clear(p.manifest.Content) // in place: it is a part of its document
	maps.Copy(p.manifest.Content, patched)
	p.document.Changed = true
	return nil
}
