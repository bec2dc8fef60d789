// Package inject decides whether a pod gets a sidecar, and which, and says what
// has to change in the pod.
//
// [Decide] is a pure function of [Facts]: no client, no clock, no logger. The
// [Decision] explains itself: the webhook's warnings, the status annotation, the
// metrics and the command line all print that one value.
package inject

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// What users write on pods and namespaces, and what the webhook answers there.
const (
	Label            = "debugsidecar.io/inject"
	Disabled         = "disabled"
	ParamsAnnotation = "debugsidecar.io/params"
	StatusAnnotation = "debugsidecar.io/status"
)

// Facts are all that a decision depends on.
type Facts struct {
	Pod       *facts.Pod
	Namespace Namespace
	Cluster   Cluster
	Profiles  *profile.Set
	// SELinux says which levels the namespace's pods may have, and whether this
	// pod is to be filled in; then the pod needs its containers' security contexts
	// and its volumes' claims.
	SELinux policies.SELinux
	// Stable are what Profiles would be but for a canary; nil if there is none for
	// this pod.
	Stable *profile.Set
	// Full gives the pod's volumes, init containers and containers with all their
	// fields. It is asked for only if one of them has a name under our reserved
	// prefix; without it, the facts need their names alone.
	Full func() (*corev1.Pod, error)
	// Violations are what the rules find in the pod, if the policy's parameters
	// say that it is to be trimmed rather than denied. Judged is the pod that they
	// are about: the same one, with its capabilities.
	Violations []policies.Violation
	Judged     *facts.Pod
	// Pins say of each of a decision's Images what image trust makes of it; nil
	// where that is off. So who decides, decides twice.
	Pins map[string]Pin
}

// Namespace is what is known of the pod's namespace.
type Namespace struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	// Unknown says that the labels, limits and quotas could not be read, for
	// example because a cache was not filled yet. Nothing is guessed then: the
	// pod gets the user tier at most, and none where limits could refuse it.
	Unknown     bool
	LimitRanges []corev1.LimitRange
	Quotas      []corev1.ResourceQuota
}

// Cluster is what the administrator configured and what the API server can do.
type Cluster struct {
	// NativeSidecars says whether init containers can restart always (KEP-753,
	// on by default from Kubernetes 1.29).
	NativeSidecars bool
	// OwnNamespace is where the webhook runs; it is left alone.
	OwnNamespace string
	// PodSecurityDefault is the level that the cluster enforces where a
	// namespace has no label; it can't be read from the API.
	PodSecurityDefault string
	// PolicyDefault is our own policy's level where a namespace has no label.
	PolicyDefault string
	Grants        []Grant
	// HostKernelRuntimeClasses are the RuntimeClasses known to share the node's
	// kernel. In any other (gVisor, Kata) the kernel tier would see nothing.
	HostKernelRuntimeClasses []string
}

// Grant gives a namespace the kernel tier for some profiles. It comes from the
// administrator's configuration alone.
type Grant struct {
	Namespace string   `json:"namespace"`
	Profiles  []string `json:"profiles"`
	// Exec lists who may get into a container of that tier; nobody else may.
	Exec Subjects `json:"exec,omitzero"`
}

// Subjects are users and groups, as the API server knows them.
type Subjects struct {
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
}
