package offline

import (
	"context"
	"fmt"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// trimmer asks the rules what pods lose, where the parameters say that they are
// trimmed rather than denied.
type trimmer struct {
	cluster   *cluster
	evaluator *policies.Evaluator // nil until it is needed
}

func (t *trimmer) addViolations(ctx context.Context, p *pod, f *inject.Facts) error {
	parameters := t.cluster.config.Parameters
	if !parameters.Trims(p.namespace) {
		return nil
	}
	if t.evaluator == nil {
		var err error
		if t.evaluator, err = policies.New(ctx); err != nil {
			return fmt.Errorf("compiling the policies: %w", err)
		}
		t.evaluator.SetParameters(parameters)
	}
	modes, _ := policies.ModesOf(t.cluster.namespace(p.namespace).Labels, t.cluster.config.File.Policy.Default)
	result, err := t.evaluator.Evaluate(ctx, policies.Request{
		Namespace: p.namespace, Modes: modes, Pod: f.Pod, Reserved: inject.Identify(*f),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", p.name(), err)
	}
	f.Violations, f.Judged = result.Violations, f.Pod
	return nil
}
