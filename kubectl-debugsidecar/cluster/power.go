package cluster

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

const (
	injectLabel = inject.Label
	disabled    = inject.Disabled
	// podSecurityLabel sets the level of the built-in Pod Security admission.
	podSecurityLabel = "pod-security.kubernetes.io/enforce"
)

func isNotFound(err error) bool { return apierrors.IsNotFound(err) }

// isStatus says whether an API server said no.
func isStatus(err error) bool { return apierrors.ReasonForError(err) != "" }

// checkGrants says who has the kernel tier and what that is worth: whoever may
// create pods in such a namespace has power over nodes.
func checkGrants(f *facts) []finding {
	const name = "grants"
	if f.settingsErr != nil {
		return one(name, unknown, "not known: the configuration can't be read", "")
	}
	if len(f.settings.File.Grants) == 0 {
		return one(name, ok, "nobody has the kernel tier", "")
	}
	var out []finding
	for _, g := range f.settings.File.Grants {
		text := fmt.Sprintf("namespace %s has the kernel tier for %s: power over the nodes that its pods run on (BPF, PERFMON and NET_RAW as uid 0: kernel memory and all packets can be read by who may create pods there)",
			g.Namespace, strings.Join(g.Profiles, ", "))
		out = append(out, finding{name, ok, text, ""})
		out = append(out, f.conflict(g)...)
	}
	return out
}

// conflict finds what keeps a grant from having an effect.
func (f *facts) conflict(g inject.Grant) []finding {
	const name = "tier"
	if f.namespacesErr != nil {
		return one(name, unknown, "namespace "+g.Namespace+": "+notKnown("list", "namespaces", f.namespacesErr), "")
	}
	ns := f.namespace(g.Namespace)
	if ns == nil {
		return one(name, warn, "there is no namespace "+g.Namespace+": whoever makes one of that name has its grant", "take the grant out of the values, or make the namespace")
	}
	level := ns.Labels[podSecurityLabel]
	if level == "" {
		level = f.settings.File.PodSecurityDefault
	}
	if level != "privileged" {
		return one(name, warn, "the grant of namespace "+g.Namespace+" has no effect: it enforces Pod Security level "+level+", so its pods get the user tier",
			"label it "+podSecurityLabel+"=privileged, or take the grant back")
	}
	if modes, _ := policies.ModesOf(ns.Labels, f.settings.File.Policy.Default); modes.Enforce == policies.Restricted {
		return one(name, warn, "the grant of namespace "+g.Namespace+" has no effect: our policy's level restricted is enforced there, so its pods get the user tier",
			"label it "+policies.EnforceLabel+"=baseline, or take the grant back")
	}
	return nil
}

func (f *facts) namespace(name string) *corev1.Namespace {
	for i := range f.namespaces {
		if f.namespaces[i].Name == name {
			return &f.namespaces[i]
		}
	}
	return nil
}

// checkEnforced finds the namespaces whose pods wait for the webhook.
func checkEnforced(f *facts) []finding {
	const name = "enforced"
	switch {
	case f.namespacesErr != nil:
		return one(name, unknown, notKnown("list", "namespaces", f.namespacesErr), "")
	case f.settingsErr != nil:
		return one(name, unknown, "not known: the policy's default level can't be read", "")
	}
	enforced := map[string]bool{}
	for i := range f.namespaces {
		ns := &f.namespaces[i]
		modes, _ := policies.ModesOf(ns.Labels, f.settings.File.Policy.Default)
		if modes.Enforce != policies.Off && ns.Name != "kube-system" && ns.Name != f.where.namespace {
			enforced[ns.Name] = true
		}
	}
	if len(enforced) == 0 {
		return one(name, ok, "no namespace enforces a policy, so none waits for the webhook", "")
	}
	names := strings.Join(sorted(enforced), ", ")
	if f.probe.Outcome == reach.Unreachable {
		return one(name, fail, "no pod can be created or changed, since the webhook is not reached, in namespaces that enforce a policy: "+names,
			"make the webhook reachable, or label them "+policies.EnforceLabel+"=off until it is")
	}
	return one(name, ok, "pods wait for the webhook's answer in namespaces that enforce a policy: "+names, "")
}
