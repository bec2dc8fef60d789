package inject

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// foreignToken names the volume that a container, which is as the webhook renders
// it, has where the API server mounts the service account's token, if it is not
// what the API server makes. Empty if it is.
func (e *existing) foreignToken(name string) string {
	c := e.container(name)
	if c == nil {
		return ""
	}
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		if v := e.volume(m.Name); profile.IsTokenMount(m) && (v == nil || !isToken(v)) {
			return m.Name
		}
	}
	return ""
}

func (e *existing) container(name string) *corev1.Container {
	for _, list := range [...][]corev1.Container{e.pod.Spec.InitContainers, e.pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

func (e *existing) volume(name string) *corev1.Volume {
	for i := range e.pod.Spec.Volumes {
		if e.pod.Spec.Volumes[i].Name == name {
			return &e.pod.Spec.Volumes[i]
		}
	}
	return nil
}

// isToken says whether a volume is what the API server makes for a service
// account's token (plug-in ServiceAccount), whatever the token's lifetime. That
// of OpenShift has the CA of its Services beside it.
func isToken(v *corev1.Volume) bool {
	p := v.Projected
	if p == nil || len(p.Sources) == 0 || p.Sources[0].ServiceAccountToken == nil {
		return false
	}
	token := *p.Sources[0].ServiceAccountToken
	token.ExpirationSeconds = nil
	got := v.VolumeSource.DeepCopy()
	got.Projected.Sources[0].ServiceAccountToken = &token
	mode := int32(0o644) // corev1.ProjectedVolumeSourceDefaultMode
	want := corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
		ofConfigMap("kube-root-ca.crt", "ca.crt"),
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
			Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
		}}}},
	}}}
	if equality.Semantic.DeepEqual(*got, want) {
		return true
	}
	want.Projected.Sources = append(want.Projected.Sources, ofConfigMap("openshift-service-ca.crt", "service-ca.crt"))
	return equality.Semantic.DeepEqual(*got, want)
}

func ofConfigMap(name, key string) corev1.VolumeProjection {
	return corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: name},
		Items:                []corev1.KeyToPath{{Key: key, Path: key}},
	}}
}
