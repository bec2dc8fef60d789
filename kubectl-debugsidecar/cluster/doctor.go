package cluster

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func newDoctor(streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{streams: streams}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check the installation, and say what to do about what is wrong",
		Long: `Check the installation: a line for each check, with the way out where something is
wrong. What you may not read is "unknown", never "ok". The status is 1 if a check
fails; warnings and what is unknown leave it at 0.`,
		Example: `  kubectl debugsidecar doctor
  kubectl debugsidecar doctor -o json`,
	}
	return o.complete(c, "", []string{"json"}, o.doctor)
}

// Results of a check.
const (
	ok      = "ok"
	warn    = "warn"
	fail    = "fail"
	unknown = "unknown"
)

// finding is what a check found; a check may find several things.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	// Fix is the way out; empty if there is nothing to do.
	Fix string `json:"fix,omitempty"`
}

// report is what -o json prints.
type report struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Checks     []finding `json:"checks"`
}

func (o *options) doctor(ctx context.Context, c *client) error {
	findings := examine(c.gather(ctx, o.where))
	failed := false
	for _, f := range findings {
		failed = failed || f.Result == fail
	}
	if o.output == "json" {
		if err := o.json(report{"debugsidecar.io/v1alpha1", "DoctorReport", findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			text := clean(f.Detail)
			if f.Fix != "" {
				text += "; " + clean(f.Fix)
			}
			fmt.Fprintf(o.streams.Out, "%-8s%-15s%s\n", f.Result, f.Check, text)
		}
	}
	if failed {
		return told{}
	}
	return nil
}
