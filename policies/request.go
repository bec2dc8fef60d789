package policies

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// Identity says whether a container under the reserved name prefix is ours.
type Identity struct {
	// Drifted says that the pod is to have this container, and that it differs
	// from what the webhook renders now: another mutation or another revision
	// made it so.
	Drifted      bool
	Ours         bool
	Why          string              // why it is not ours, for people
	Capabilities []corev1.Capability // what a grant lifts for it; empty without a grant
	SELinuxType  string              // a type that the grant lifts, too
}

// Request is what Evaluate judges.
type Request struct {
	Namespace string
	Modes     Modes
	User      User // who sent it; for exemptions alone
	// NamespaceAnnotations are read only where the parameters say so.
	NamespaceAnnotations map[string]string
	Pod                  *facts.Pod
	Old                  *facts.Pod          // nil unless an UPDATE
	Reserved             map[string]Identity // by container name; who is missing here is not ours
	FieldPath            string              // of the pod spec in the object: "spec" (or empty), "spec.template.spec", "spec.jobTemplate.spec.template.spec"
}

// identify answers for a container under the reserved prefix.
func (r *Request) identify(name string) (ours bool, granted []corev1.Capability) {
	identity := r.Reserved[name]
	return identity.Ours, identity.Capabilities
}

// grantedType answers for a container that is ours.
func (r *Request) grantedType(name string) string { return r.Reserved[name].SELinuxType }

// specPath is the path of the pod spec in messages.
func (r *Request) specPath() string {
	if r.FieldPath == "" {
		return "spec"
	}
	return r.FieldPath
}

// whyNotOurs is the reason why a container under the reserved prefix isn't ours.
func (r *Request) whyNotOurs(name string) string {
	if why := r.Reserved[name].Why; why != "" {
		return why
	}
	return "this one is unknown to it"
}
