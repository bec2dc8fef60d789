package admit

import (
	"bytes"
	"context"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// addViolations asks the rules about a pod that is to be trimmed rather than
// denied. Where that fails the pod is left as it is, and /validate has its say.
func (d Deps) addViolations(ctx context.Context, r *request, f *inject.Facts) {
	// An injection reads no security contexts, so it takes a second decoding; but
	// not where no container can add a capability. An API server escapes no letter.
	if !d.Policies.Trims(r.Namespace) || !bytes.Contains(r.body, []byte(`"capabilities"`)) {
		return
	}
	whole, err := decode[judgedContainer, judgedVolume](r.body)
	if err != nil || whole.pod.Pod == nil {
		return
	}
	found, err := d.evaluate(ctx, whole)
	if err != nil {
		d.Log.Warn("a pod was not trimmed", "namespace", r.Namespace, "err", err)
		return
	}
	f.Violations, f.Judged = found.result.Violations, whole.pod.Pod
}

// recordTrims says in the audit log and in a metric what a pod loses. The warnings
// say it to whoever sent the pod.
func (d Deps) recordTrims(r *request, decision *inject.Decision, resp *response) {
	if decision.Trimmed == 0 {
		return
	}
	var trimmed sentences
	for _, step := range decision.Steps {
		if step.Check == inject.TrimCheck {
			trimmed.add(step.Detail)
		}
	}
	resp.audit("trimmed", trimmed)
	if !r.DryRun {
		d.Metrics.violations.WithLabelValues(inject.TrimCheck, "trim").Add(float64(decision.Trimmed))
	}
}
