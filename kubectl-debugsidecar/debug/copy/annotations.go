package copy

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// records are annotations, or what they begin with, that are about one pod, or
// make others look at it.
var records = []string{
	"debugsidecar.io/",
	"kubernetes.io/config.", // a static pod's
	"kubernetes.io/limit-ranger",
	"kubectl.kubernetes.io/last-applied-configuration",
	"kubectl.kubernetes.io/restartedAt",
	"batch.kubernetes.io/",
	"cni.projectcalico.org/",
	"k8s.v1.cni.cncf.io/network-status",
	"k8s.ovn.org/",
	"prometheus.io/", // it would be scraped
}

func isRecord(key string) bool {
	return slices.ContainsFunc(records, func(r string) bool { return strings.HasPrefix(key, r) })
}

// hasContainerOf says whether the container that an annotation names is in the
// copy: the API server refuses AppArmor profiles of containers that are not there.
func (m *maker) hasContainerOf(key string) bool {
	name, ok := strings.CutPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
	if !ok {
		return true
	}
	return slices.ContainsFunc(m.pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
}
