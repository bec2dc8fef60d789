package inject

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// suits checks whether the pod can run the sidecar, and what the profile
// requires.
func (d *Decision) suits(f Facts, pr *profile.Profile, qos corev1.PodQOSClass) bool {
	if isWindows(f.Pod) {
		d.skip(codeExcluded, "os", "the pod is for Windows nodes: the sidecar is a Linux program")
		return false
	}
	if f.Pod.Spec.HostNetwork && !pr.HostNetwork {
		d.skip(codeRequirement, "host-network", "the pod uses its host's network, and profile "+pr.Name+" does not join such pods")
		return false
	}
	for _, r := range pr.Requires {
		if unmet := unmet(r, f, qos); unmet != "" {
			d.skip(codeRequirement, "requirement", "profile "+pr.Name+": "+unmet)
			return false
		}
	}
	if len(pr.Requires) > 0 {
		d.ok("requirement", "the profile's requirements are met")
	}
	return true
}

// placement says in which list of the pod the sidecar stands.
func (d *Decision) placement(f Facts, pr *profile.Profile) (profile.Placement, bool) {
	if pr.Placement == profile.Native && f.Cluster.NativeSidecars {
		d.ok("placement", "native sidecar")
		return profile.Native, true
	}
	if p := f.Pod.Spec.RestartPolicy; p != "" && p != corev1.RestartPolicyAlways {
		d.skip(codeRequirement, "placement", "the pod is to complete (restartPolicy "+string(p)+"), and an ordinary sidecar container would keep it running")
		return "", false
	}
	d.ok("placement", "ordinary container")
	return profile.Ordinary, true
}
