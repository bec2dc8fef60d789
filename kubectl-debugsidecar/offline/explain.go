package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

func newExplain(streams genericiooptions.IOStreams) *cobra.Command {
	o := newOptions(streams)
	var output string
	c := &cobra.Command{
		Use:   "explain -f FILE",
		Short: "Say whether pods get a sidecar, and why",
		Long: `Say whether pods get a sidecar, and why: each step of the webhook's decision, in
order. With -o json, a JSON document a line for each pod or workload.`,
		Example: `  kubectl debugsidecar explain -f ingest.yaml
  kubectl debugsidecar explain -f ingest.yaml --pod-security restricted -o json`,
	}
	subcommand(c, o, func() error { return oneOf("output", output, "json") },
		func(ctx context.Context) error { return o.explain(ctx, output) })
	addOutput(c, &output, "json (default: for people)", "json")
	return c
}

func (o *options) explain(ctx context.Context, output string) error {
	c, err := o.load()
	if c == nil {
		return err
	}
	errs := []error{err}
	rules := &trimmer{cluster: c}
	for i := range c.pods {
		f, err := c.facts(&c.pods[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := rules.addViolations(ctx, &c.pods[i], &f); err != nil {
			errs = append(errs, err)
			continue
		}
		d := inject.Decide(f)
		if d.Refused != "" {
			errs = append(errs, errDenied)
		}
		if output == "json" {
			errs = append(errs, o.line(d))
			continue
		}
		o.explainInWords(c.pods[i].name(), d)
	}
	return errors.Join(errs...)
}

// line writes a value as a line of JSON.
func (o *options) line(v any) error {
	e := json.NewEncoder(o.streams.Out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (o *options) explainInWords(name string, d *inject.Decision) {
	outcome := "no sidecar"
	switch {
	case d.Refused != "":
		outcome = "the pod is refused"
	case d.Inject:
		outcome = "a sidecar"
	}
	fmt.Fprintf(o.streams.Out, "%s: %s: %s\n", name, outcome, d.Reason)
	w := tabwriter.NewWriter(o.streams.Out, 0, 0, 2, ' ', 0)
	for _, s := range d.Steps {
		mark := "yes"
		if !s.OK {
			mark = "no"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", mark, s.Check, strings.ReplaceAll(s.Detail, "\n", " "))
	}
	w.Flush() //nolint:errcheck // as with Fprintf
}
