package profile

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Requirement is a condition on the pod. It applies where When matches (always,
// if that is nil) and is met if Match does.
type Requirement struct {
	When  *Match `json:"when,omitempty"`
	Match `json:",inline"`
}

// Match describes pods. Each field that is set has to hold.
type Match struct {
	// QOSClasses lists the allowed classes.
	QOSClasses []corev1.PodQOSClass `json:"qosClasses,omitempty"`
	// RuntimeClasses lists allowed RuntimeClasses; "*" stands for any, "" for none.
	RuntimeClasses []string `json:"runtimeClasses,omitempty"`
	// Tolerates lists taints, as key, value and effect, that the pod tolerates.
	Tolerates []corev1.Taint `json:"tolerates,omitempty"`
	// HostNetwork compares with spec.hostNetwork.
	HostNetwork *bool `json:"hostNetwork,omitempty"`
	// PodSecurity lists the allowed enforced Pod Security levels of the namespace.
	PodSecurity []string `json:"podSecurity,omitempty"`
}

var (
	qosClasses        = []corev1.PodQOSClass{corev1.PodQOSGuaranteed, corev1.PodQOSBurstable, corev1.PodQOSBestEffort}
	podSecurityLevels = []string{"privileged", "baseline", "restricted"}
	taintEffects      = []corev1.TaintEffect{"", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
)

// check refuses what can never be met, and what says nothing.
func (r Requirement) check() *problem {
	if r.When != nil {
		if problem := r.When.check(); problem != nil {
			return problem.below("when")
		}
	}
	return r.Match.check()
}

func (m Match) check() *problem {
	if len(m.QOSClasses)+len(m.RuntimeClasses)+len(m.Tolerates)+len(m.PodSecurity) == 0 && m.HostNetwork == nil {
		return problemAt("", "names nothing: set qosClasses, runtimeClasses, tolerates, hostNetwork or podSecurity")
	}
	if i := firstUnknown(m.QOSClasses, qosClasses); i >= 0 {
		return problemAt("qosClasses", "%q is none of %v", m.QOSClasses[i], qosClasses)
	}
	if i := firstUnknown(m.PodSecurity, podSecurityLevels); i >= 0 {
		return problemAt("podSecurity", "%q is none of %v", m.PodSecurity[i], podSecurityLevels)
	}
	for i, taint := range m.Tolerates {
		at := fmt.Sprintf("tolerates[%d]", i)
		if taint.Key == "" {
			return problemAt(at, "key is missing")
		}
		if !slices.Contains(taintEffects, taint.Effect) {
			return problemAt(at, "effect %q is none of NoSchedule, PreferNoSchedule, NoExecute", taint.Effect)
		}
		if taint.TimeAdded != nil {
			return problemAt(at, "timeAdded means nothing here")
		}
	}
	return nil
}

// firstUnknown returns the index of the first value that is none of allowed, or -1.
func firstUnknown[T comparable](values, allowed []T) int {
	return slices.IndexFunc(values, func(v T) bool { return !slices.Contains(allowed, v) })
}
