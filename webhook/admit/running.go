package admit

import (
	"context"
	"fmt"
	"slices"

	"github.com/debugsidecar/debugsidecar/policies"
)

// Running is what the rules say of a pod that runs already.
type Running struct {
	Name       string
	Deleted    bool // it is on its way out, and was not judged
	Violations []policies.Violation
}

// JudgeRunning judges a pod that runs already as /validate would judge its
// creation now: the same levels, the same parameters, and the same answer to
// which containers are ours. It takes the pod as the API server gives it, in
// JSON. Nothing is counted.
func (d Deps) JudgeRunning(ctx context.Context, namespace string, pod []byte) (Running, error) {
	const before, after = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"running",` +
		`"resource":{"version":"v1","resource":"pods"},"operation":"CREATE","object":`, `}}`
	r, err := decode[judgedContainer, judgedVolume](slices.Concat([]byte(before), pod, []byte(after)))
	if err != nil {
		return Running{}, fmt.Errorf("reading the pod: %w", err)
	}
	r.Namespace = namespace
	meta := &r.pod.Pod.Metadata
	out := Running{Name: meta.Name, Deleted: meta.DeletionTimestamp != nil}
	if out.Deleted {
		return out, nil
	}
	found, err := d.evaluate(ctx, r)
	out.Violations = found.result.Violations
	return out, err
}
