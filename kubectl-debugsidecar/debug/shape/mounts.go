package shape

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// volumeMounts are those of the target that a debug container may have, and what
// is left out, in words.
func volumeMounts(t *target, p Profile) (mounts []corev1.VolumeMount, leftOut []string) {
	out := places{}
	for i := range t.container.VolumeMounts {
		m := t.container.VolumeMounts[i].DeepCopy()
		if why := whyNotMounted(t, m); why != "" {
			out.add("not mounted: "+why, m.MountPath)
			continue
		}
		if pass := m.MountPropagation; pass != nil && *pass == corev1.MountPropagationBidirectional && p != SysAdmin {
			m.MountPropagation = new(corev1.MountPropagationHostToContainer)
			out.add("mounts below are not passed on to the node: that takes a privileged container", m.MountPath)
		}
		mounts = append(mounts, *m)
	}
	for _, d := range t.container.VolumeDevices {
		out.add("no block device: a debug container gets none", d.DevicePath)
	}
	return mounts, out.lines()
}

func whyNotMounted(t *target, m *corev1.VolumeMount) string {
	switch {
	case m.SubPathExpr != "":
		return "a debug container has not the variables that its subPathExpr is made of"
	case m.SubPath != "" && !t.isNew:
		return "the API permits no subPath in a debug container"
	case strings.HasPrefix(m.Name, facts.ReservedPrefix):
		return "its volume belongs to a sidecar, which the policies keep for itself"
	case isServiceAccountPath(m.MountPath) || hasToken(t.pod, m.Name):
		return "it holds a token of the pod, which is for its program alone"
	case covers(m.MountPath):
		return "it would hide the debug container's own programs"
	}
	return ""
}

// serviceAccountPath is where pods find their token.
const serviceAccountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

func isServiceAccountPath(p string) bool {
	return path.Clean(p) == serviceAccountPath || strings.EqualFold(strings.TrimPrefix(strings.ReplaceAll(p, `\`, "/"), "C:"), serviceAccountPath)
}

// hasToken says whether a volume shows who the pod is to somebody else: a token,
// or a certificate with its key.
func hasToken(pod *corev1.Pod, volume string) bool {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Name != volume || v.Projected == nil {
			continue
		}
		return slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
			return s.ServiceAccountToken != nil || s.PodCertificate != nil
		})
	}
	return false
}

// own are the directories without which nothing of an image runs.
var own = []string{"/", "/bin", "/sbin", "/lib", "/lib64", "/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local", "/usr/local/bin", "/etc", "/proc", "/sys", "/dev"}

func covers(mountPath string) bool { return slices.Contains(own, path.Clean(mountPath)) }
