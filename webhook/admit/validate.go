package admit

import (
	"context"
	"fmt"
	"net/http"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// Validate returns the handler of /validate: it enforces the policies on pods
// and warns about workloads whose pods would be denied.
func Validate(d Deps) http.Handler {
	return &handler{path: "/validate", judge: d.validate, metrics: d.Metrics, log: d.Log}
}

func (d Deps) validate(ctx context.Context, r *request) (response, error) {
	if r.Object == nil || r.Operation != "CREATE" && r.Operation != "UPDATE" {
		return allow(), nil
	}
	pod, path, isPod := r.subject()
	if pod == nil {
		return allow(), nil
	}
	labels, ok := d.Namespaces.Labels(ctx, r.Namespace)
	if !ok {
		// Not to know the level must neither open the namespace nor close it:
		// the API server does what the entry's failurePolicy says.
		return response{}, fmt.Errorf("the labels of namespace %s could not be read in time", r.Namespace)
	}
	modes, problems := policies.ModesOf(labels, d.Config().File.Policy.Default)
	result, err := d.Policies.Evaluate(ctx, policies.Request{
		Namespace: r.Namespace,
		Modes:     modes,
		Pod:       pod,
		Old:       r.oldSubject(isPod),
		Reserved:  d.identities(ctx, r, pod),
		FieldPath: path,
	})
	if err != nil {
		return response{}, fmt.Errorf("evaluating the policies: %w", err)
	}
	if !r.DryRun {
		for _, v := range result.Violations {
			d.Metrics.violations.WithLabelValues(v.Rule, string(v.Action)).Inc()
		}
	}
	return respond(result, problems, isPod, modes), nil
}

// subject returns the pod, or the workload's pod template, that is judged.
func (r *request) subject() (pod *facts.Pod, path string, isPod bool) {
	if r.Resource.Group == "" && r.Resource.Resource == "pods" {
		switch r.SubResource {
		case "", "ephemeralcontainers", "resize":
			return r.Object.pod(), "spec", true
		}
		return nil, "", true
	}
	pod, path = r.Object.template()
	return pod, path, false
}

func (r *request) oldSubject(isPod bool) *facts.Pod {
	if isPod {
		return r.OldObject.pod()
	}
	old, _ := r.OldObject.template()
	return old
}

// identities says which containers under the reserved prefix are ours, by the
// configuration in force or one that was replaced lately; but grants are those
// of now. A template may hold what `kubectl debugsidecar inject` put into it.
func (d Deps) identities(ctx context.Context, r *request, pod *facts.Pod) map[string]policies.Identity {
	if !inject.HasReservedName(pod) {
		return nil
	}
	current := d.Config()
	f := d.facts(r, pod, d.Namespaces.Namespace(ctx, r.Namespace), current)
	out := inject.Identify(f)
	for _, c := range d.Recent() {
		if c == current {
			continue
		}
		f.Profiles = c.Profiles
		for name, id := range inject.Identify(f) {
			if id.Ours && !out[name].Ours {
				out[name] = id
			}
		}
	}
	return out
}
