package admit

import (
	"context"
	"fmt"
	"net/http"
	"strings"

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
	ns := d.Namespaces.Namespace(ctx, r.Namespace)
	modes, problems := policies.ModesOf(ns.Labels, d.Config().File.Policy.Default)
	if ns.Labels == nil && ns.Unknown {
		// The selector chose us, so the namespace enforces something: not to
		// know what must not open it.
		modes.Enforce = policies.Restricted
	}
	result, err := d.Policies.Evaluate(ctx, policies.Request{
		Namespace: r.Namespace,
		Modes:     modes,
		Pod:       pod,
		Old:       r.oldSubject(isPod),
		Reserved:  d.identities(r, pod, ns, isPod),
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

func (d Deps) identities(r *request, pod *facts.Pod, ns inject.Namespace, isPod bool) map[string]policies.Identity {
	if !isPod {
		return nil
	}
	return inject.Identify(d.facts(r, pod, ns))
}

// respond turns violations into a denial, warnings and audit annotations. A
// workload is only warned about: its pods are what is denied.
func respond(result policies.Result, problems []string, isPod bool, modes policies.Modes) response {
	var denied, audited []string
	resp := allow()
	for _, p := range problems {
		resp.Warnings = append(resp.Warnings, "debugsidecar: "+p)
	}
	for _, v := range result.Violations {
		switch {
		case v.Action == policies.Deny && isPod:
			denied = append(denied, sentence(v))
		case v.Action == policies.Deny:
			resp.Warnings = append(resp.Warnings, "debugsidecar: its pods would be denied: "+sentence(v))
		case v.Action == policies.Warn:
			resp.Warnings = append(resp.Warnings, "debugsidecar: "+sentence(v))
		default:
			audited = append(audited, sentence(v))
		}
	}
	if len(denied) > 0 {
		warnings := resp.Warnings
		resp = deny(fmt.Sprintf("debugsidecar: level %s is enforced in this namespace: %s", modes.Enforce, strings.Join(denied, "; ")))
		resp.Warnings = warnings
	}
	if len(audited) > 0 {
		resp.AuditAnnotations = map[string]string{"violations": strings.Join(audited, "; ")}
	}
	return resp
}

// sentence says what is wrong, by which rule, and what to change.
func sentence(v policies.Violation) string { return v.Message + "; to pass: " + v.Fix }
