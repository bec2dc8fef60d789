package profile

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// serviceAccountPath is where the API server mounts the service account's token
// (plug-in ServiceAccount).
const serviceAccountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// Equals says whether c is this sidecar's container, but for what the API server
// itself is known to change: the service account's token mount (plug-in
// ServiceAccount), the pull policy (AlwaysPullImages), further resources other
// than devices (LimitRanger) and a digest for the same repository. Its defaults change
// nothing, because a sidecar is rendered with them.
func (s *Sidecar) Equals(c *corev1.Container) bool {
	want, got := &s.Container, *c
	got.VolumeMounts = withoutToken(c.VolumeMounts)
	if got.ImagePullPolicy == corev1.PullAlways {
		got.ImagePullPolicy = want.ImagePullPolicy
	}
	if got.Image != want.Image && strings.Contains(got.Image, "@") && !strings.Contains(want.Image, "@") &&
		repository(got.Image) == repository(want.Image) {
		got.Image = want.Image
	}
	if got.Name != want.Name || got.Image != want.Image {
		return false
	}
	got.Resources.Requests = only(got.Resources.Requests, want.Resources.Requests)
	got.Resources.Limits = only(got.Resources.Limits, want.Resources.Limits)
	return encodesAs(&got, s.ContainerJSON)
}

// encodesAs compares as the API does: quantities by their canonical form, an
// empty list like none. It takes half the time of a comparison by reflection.
func encodesAs(v any, data []byte) bool {
	b, err := json.Marshal(v)
	return err == nil && bytes.Equal(b, data)
}

// withoutToken leaves out the service account's token.
func withoutToken(mounts []corev1.VolumeMount) []corev1.VolumeMount {
	isToken := func(m corev1.VolumeMount) bool { return IsTokenMount(&m) }
	if !slices.ContainsFunc(mounts, isToken) {
		return mounts
	}
	return slices.DeleteFunc(slices.Clone(mounts), isToken)
}

// IsTokenMount says whether a mount is, by its form, that of the service
// account's token. Which volume it mounts is another question.
func IsTokenMount(m *corev1.VolumeMount) bool {
	return strings.HasPrefix(m.Name, "kube-api-access-") &&
		reflect.DeepEqual(*m, corev1.VolumeMount{Name: m.Name, ReadOnly: true, MountPath: serviceAccountPath})
}

// only leaves the keys of list that want has, and those that say more than how
// much: an extended resource (its name has a domain) can be a device.
func only(list, want corev1.ResourceList) corev1.ResourceList {
	if len(list) <= len(want) {
		return list
	}
	out := corev1.ResourceList{}
	for name, q := range list {
		if _, ok := want[name]; ok || strings.Contains(string(name), "/") {
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

// VolumeIs says whether the sidecar, which may be nil, has a volume of v's name,
// and whether v is that volume.
func (s *Sidecar) VolumeIs(v *corev1.Volume) (wanted, same bool) {
	if s == nil {
		return false, false
	}
	for i := range s.Volumes {
		if s.Volumes[i].Name == v.Name {
			return true, encodesAs(v, s.VolumeJSON[i])
		}
	}
	return false, false
}
