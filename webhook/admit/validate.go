package admit

import (
	"context"
	"fmt"
	"net/http"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// Validate returns the handler of /validate: it enforces the policies on pods
// and warns about workloads whose pods would be denied.
func Validate(d Deps) http.Handler {
	return &handler{path: validatePath, decode: decode[judgedContainer, judgedVolume], judge: d.validate, metrics: d.Metrics, log: d.Log}
}

func (d Deps) validate(ctx context.Context, r *request) (response, error) {
	if r.pod.Pod == nil || !r.isJudged() {
		return d.passUnasked(validatePath), nil
	}
	found, err := d.evaluate(ctx, r)
	if err != nil {
		return response{}, err
	}
	d.Metrics.countUndecided(found.result, r.DryRun)
	if !r.DryRun {
		d.count(found.result)
	}
	return respond(found.result, found.problems, r.isPod(), found.modes), nil
}

func (d Deps) count(result policies.Result) {
	for _, v := range result.Violations {
		d.Metrics.violations.WithLabelValues(v.Rule, string(v.Action)).Inc()
	}
	if e := result.Exemption; e != nil {
		d.Metrics.exemptions.WithLabelValues(e.By).Inc()
		for _, v := range e.Violations {
			d.Metrics.violations.WithLabelValues(v.Rule, "exempt").Inc()
		}
	}
}

// evaluation is what the rules found, and by which levels they looked.
type evaluation struct {
	result   policies.Result
	modes    policies.Modes
	problems []string // of the namespace's labels
}

// evaluate asks the rules.
func (d Deps) evaluate(ctx context.Context, r *request) (evaluation, error) {
	labels, ok := d.Namespaces.Labels(ctx, r.Namespace)
	if !ok {
		// Not to know the level must neither open the namespace nor close it:
		// the API server does what the entry's failurePolicy says.
		return evaluation{}, fmt.Errorf("the labels of namespace %s could not be read in time", r.Namespace)
	}
	annotations, err := d.annotations(ctx, r.Namespace)
	if err != nil {
		return evaluation{}, err
	}
	modes, problems := policies.ModesOf(labels, d.Config().File.Policy.Default)
	reserved, err := d.identities(ctx, r)
	if err != nil {
		return evaluation{}, err
	}
	result, err := d.Policies.Evaluate(ctx, policies.Request{
		Namespace:            r.Namespace,
		Modes:                modes,
		NamespaceAnnotations: annotations,
		User:                 r.UserInfo,
		Pod:                  r.pod.Pod,
		Old:                  r.old.Pod,
		Reserved:             reserved,
		FieldPath:            r.pod.path,
	})
	if err != nil {
		return evaluation{}, fmt.Errorf("evaluating the policies: %w", err)
	}
	return evaluation{result, modes, problems}, nil
}

// annotations returns those of a namespace, where the parameters make them count.
func (d Deps) annotations(ctx context.Context, namespace string) (map[string]string, error) {
	if !d.Config().Parameters.ReadAnnotations(namespace) {
		return nil, nil
	}
	ns := d.Namespaces.Namespace(ctx, namespace)
	if ns.Unknown {
		return nil, fmt.Errorf("the annotations of namespace %s could not be read in time", namespace)
	}
	return ns.Annotations, nil
}

// isJudged says whether the rules judge such requests at all. Others are not
// registered; one that comes all the same passes.
func (r *request) isJudged() bool {
	switch r.SubResource {
	case "":
		return r.Operation == "CREATE" || r.Operation == "UPDATE"
	case "ephemeralcontainers", "resize":
		return r.isPod() && r.Operation == "UPDATE"
	}
	return false
}

// identities says which containers under the reserved prefix are ours, by the
// configuration in force or one that was replaced lately; but grants are those
// of now. A template may hold what `kubectl debugsidecar inject` put into it.
func (d Deps) identities(ctx context.Context, r *request) (map[string]policies.Identity, error) {
	if !inject.HasReservedName(r.pod.Pod) {
		return nil, nil
	}
	whole, err := decode[identifiedContainer, judgedVolume](r.body)
	if err != nil {
		return nil, err
	}
	current := d.Config()
	f := d.facts(r, whole.pod.Pod, d.Namespaces.Namespace(ctx, r.Namespace), current)
	out := inject.Identify(f)
	also := func(set *profile.Set) {
		f.Profiles = set
		for name, id := range inject.Identify(f) {
			if id.Ours && !out[name].Ours {
				out[name] = id
			}
		}
	}
	for _, c := range d.Recent() {
		if c != current {
			also(c.Profiles)
		}
		// Whatever is thought of the canary here and now: another replica may know
		// better, and what was injected stays ours.
		if c.Canary != nil {
			also(c.Canary)
		}
	}
	return out, nil
}
