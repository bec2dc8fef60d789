package profile

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// serviceAccountPath is where the API server mounts the service account's token
// (plug-in ServiceAccount).
const serviceAccountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// Equals says whether c is this sidecar's container, but for what the API server
// itself is known to change: its defaults, the service account's token mount
// (plug-in ServiceAccount), the pull policy (AlwaysPullImages), further
// resources (LimitRanger) and a digest for the same repository.
func (s *Sidecar) Equals(c *corev1.Container) bool {
	got := c.DeepCopy()
	setContainerDefaults(got)
	var mounts []corev1.VolumeMount
	for _, m := range got.VolumeMounts {
		if m.MountPath != serviceAccountPath || !strings.HasPrefix(m.Name, "kube-api-access-") || !m.ReadOnly {
			mounts = append(mounts, m)
		}
	}
	got.VolumeMounts = mounts
	want := &s.Container
	if got.ImagePullPolicy == corev1.PullAlways {
		got.ImagePullPolicy = want.ImagePullPolicy
	}
	if repository(got.Image) == repository(want.Image) && strings.Contains(got.Image, "@") && !strings.Contains(want.Image, "@") {
		got.Image = want.Image
	}
	got.Resources.Requests = only(got.Resources.Requests, want.Resources.Requests)
	got.Resources.Limits = only(got.Resources.Limits, want.Resources.Limits)
	return equality.Semantic.DeepEqual(got, want)
}

// only leaves the keys of list that want has.
func only(list, want corev1.ResourceList) corev1.ResourceList {
	var out corev1.ResourceList
	for name := range want {
		if q, ok := list[name]; ok {
			if out == nil {
				out = corev1.ResourceList{}
			}
			out[name] = q
		}
	}
	return out
}

// repository is an image reference without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	slash := strings.LastIndex(image, "/")
	if colon := strings.LastIndex(image, ":"); colon > slash {
		image = image[:colon]
	}
	return image
}

// Volume returns the sidecar's volume of that name, or nil. The receiver may be
// nil: no sidecar has no volume.
func (s *Sidecar) Volume(name string) *corev1.Volume {
	if s == nil {
		return nil
	}
	for i := range s.Volumes {
		if s.Volumes[i].Name == name {
			return &s.Volumes[i]
		}
	}
	return nil
}

// SameVolume says whether both are the same after the API's defaults.
func SameVolume(a, b *corev1.Volume) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	setVolumeDefaults(a)
	setVolumeDefaults(b)
	return equality.Semantic.DeepEqual(a, b)
}
