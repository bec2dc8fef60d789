package offline

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

type checker struct {
	*options
	output    string
	evaluator *policies.Evaluator
}

func newCheck(streams genericiooptions.IOStreams) *cobra.Command {
	o := &checker{options: newOptions(streams)}
	c := &cobra.Command{
		Use:   "check -f FILE [--level LEVEL]",
		Short: "Say whether the policies allow pods, and what to change",
		Long: `Say whether the policies allow pods and the pods of workloads, and the smallest
change for each violation. The status is 1 if a pod would be denied.

Without --level, Namespace objects in the input give the levels, by the labels
` + policies.EnforceLabel + `, warn and audit; where they say nothing, the policy's default in
--config does. With -o json, a JSON document a line for each pod or workload.

With --policy, rules of your own are asked too, within the bounds of the webhook.`,
		Example: `  kubectl debugsidecar check -f ingest.yaml --level restricted
  kubectl debugsidecar inject -f ingest.yaml | kubectl debugsidecar check -f - --level baseline -o json`,
	}
	subcommand(c, o.options, o.checkFlags, o.run)
	c.Flags().StringVar(&o.level, "level", "", "level to check against: baseline or restricted")
	c.Flags().StringVar(&o.paths.Rules, "policy", "", "directory with rules of your own (*.rego), whose tests have to pass")
	c.MarkFlagDirname("policy") //nolint:errcheck // the flag exists
	completeValues(c, "level", string(policies.Baseline), string(policies.Restricted))
	addOutput(c, &o.output, "json (default: for people)", "json")
	return c
}

func (o *checker) checkFlags() error {
	return errors.Join(
		oneOf("output", o.output, "json"),
		oneOf("level", o.level, string(policies.Baseline), string(policies.Restricted)))
}

func (o *checker) run(ctx context.Context) error {
	c, err := o.load()
	if c == nil {
		return err
	}
	if o.level == "" && o.paths.Config == "" && len(c.declared) == 0 && len(c.pods) > 0 {
		return usageError{errors.Join(err, errors.New("no level is known: give --level, or Namespace objects in the input, or --config"))}
	}
	var compileErr error
	if o.evaluator, compileErr = policies.New(ctx); compileErr != nil {
		return errors.Join(err, fmt.Errorf("compiling the policies: %w", compileErr))
	}
	o.evaluator.SetParameters(c.config.Parameters)
	o.evaluator.SetOwnRules(c.config.Rules)
	errs := []error{err}
	for i := range c.pods {
		errs = append(errs, o.pod(ctx, c, &c.pods[i]))
	}
	return errors.Join(errs...)
}

// verdict is what -o json prints.
type verdict struct {
	Allowed    bool                 `json:"allowed"`
	Violations []policies.Violation `json:"violations"`
}

func (o *checker) pod(ctx context.Context, c *cluster, p *pod) error {
	modes, err := o.modes(c, p)
	if err != nil {
		return err
	}
	f, err := c.facts(p)
	if err != nil {
		return err
	}
	result, err := o.evaluator.Evaluate(ctx, policies.Request{
		Namespace:            p.namespace,
		Modes:                modes,
		NamespaceAnnotations: f.Namespace.Annotations,
		Pod:                  f.Pod,
		Reserved:             inject.Identify(f),
		FieldPath:            p.manifest.FieldPath,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", p.name(), err)
	}
	v := verdict{Allowed: true, Violations: result.Violations}
	for i := range result.Violations {
		// What a pod is trimmed for it is not denied for.
		if r := &result.Violations[i]; r.Action == policies.Deny && len(r.Trim) == 0 {
			v.Allowed = false
		}
	}
	if v.Violations == nil {
		v.Violations = []policies.Violation{}
	}
	if o.output == "json" {
		err = o.line(v)
	} else {
		o.inWords(p, modes, v)
	}
	if !v.Allowed {
		err = errors.Join(err, errDenied)
	}
	return err
}

// modes are the levels that hold for a pod.
func (o *checker) modes(c *cluster, p *pod) (policies.Modes, error) {
	if o.level != "" {
		return policies.Modes{Enforce: policies.Level(o.level)}, nil
	}
	if p.namespace == metav1.NamespaceSystem {
		return policies.Modes{Enforce: policies.Off}, nil // the webhook never sees it
	}
	if !c.declared[p.namespace] && o.paths.Config == "" {
		return policies.Modes{}, fmt.Errorf("%s: no level is known: the input has no Namespace %s; give --level, or the Namespace, or --config", p.name(), p.namespace)
	}
	modes, problems := policies.ModesOf(c.namespace(p.namespace).Labels, c.config.File.Policy.Default)
	for _, problem := range problems {
		fmt.Fprintf(o.streams.ErrOut, "%s: %s\n", p.name(), problem)
	}
	return modes, nil
}

func (o *checker) inWords(p *pod, modes policies.Modes, v verdict) {
	outcome := "allowed"
	if !v.Allowed {
		outcome = "denied"
	}
	fmt.Fprintf(o.streams.Out, "%s: %s at level %s\n", p.name(), outcome, modes.Enforce)
	for _, violation := range v.Violations {
		prefix := ""
		switch {
		case len(violation.Trim) > 0:
			prefix = "the webhook takes these away: "
		case violation.Action != policies.Deny:
			prefix = string(violation.Action) + ": "
		}
		fmt.Fprintf(o.streams.Out, "  %s%s\n    fix: %s\n", prefix, violation.Message, violation.Fix)
	}
}
