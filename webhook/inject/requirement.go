package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// unmet says how the pod fails a requirement; empty if it does not.
func unmet(r profile.Requirement, f Facts, qos corev1.PodQOSClass) string {
	if r.When != nil && mismatch(*r.When, f, qos) != "" {
		return ""
	}
	return mismatch(r.Match, f, qos)
}

// mismatch says in what the pod differs from m; empty if in nothing.
func mismatch(m profile.Match, f Facts, qos corev1.PodQOSClass) string {
	spec := &f.Pod.Spec
	if len(m.QOSClasses) > 0 && !slices.Contains(m.QOSClasses, qos) {
		return fmt.Sprintf("the pod is %s, it has to be %s", qos, oneOf(m.QOSClasses))
	}
	class := ""
	if spec.RuntimeClassName != nil {
		class = *spec.RuntimeClassName
	}
	anyClass := class != "" && slices.Contains(m.RuntimeClasses, "*")
	if len(m.RuntimeClasses) > 0 && !anyClass && !slices.Contains(m.RuntimeClasses, class) {
		return fmt.Sprintf("the pod's RuntimeClass is %q, it has to be %s", class, oneOf(m.RuntimeClasses))
	}
	for _, taint := range m.Tolerates {
		if !tolerates(spec.Tolerations, taint) {
			return fmt.Sprintf("the pod does not tolerate %s", strings.TrimSuffix(taint.ToString(), ":"))
		}
	}
	if m.HostNetwork != nil && *m.HostNetwork != spec.HostNetwork {
		return fmt.Sprintf("the pod's hostNetwork is %t, it has to be %t", spec.HostNetwork, *m.HostNetwork)
	}
	if len(m.PodSecurity) > 0 && !slices.Contains(m.PodSecurity, podSecurityLevel(f)) {
		return fmt.Sprintf("the namespace's Pod Security level is %s, it has to be %s", podSecurityLevel(f), oneOf(m.PodSecurity))
	}
	return ""
}

// tolerates follows corev1.Toleration.ToleratesTaint; a taint without an effect
// stands for each effect.
func tolerates(tolerations []corev1.Toleration, taint corev1.Taint) bool {
	return slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool {
		if taint.Effect != "" && t.Effect != "" && t.Effect != taint.Effect {
			return false
		}
		if t.Key != "" && t.Key != taint.Key {
			return false
		}
		switch t.Operator {
		case corev1.TolerationOpExists:
			return true
		case corev1.TolerationOpEqual, "":
			return t.Key != "" && t.Value == taint.Value
		}
		return false
	})
}

func oneOf[T ~string](values []T) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = string(v)
		if v == "" {
			quoted[i] = "none"
		}
	}
	return strings.Join(quoted, " or ")
}
