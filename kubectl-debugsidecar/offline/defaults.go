package offline

import (
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// setPodDefaults does to a pod what an API server does before it asks a webhook,
// as far as a decision or a rule reads it: the defaults of core/v1 (SetDefaults_Pod
// in pkg/apis/core/v1/defaults.go of Kubernetes), then those of the namespace's
// LimitRanges (plug-in LimitRanger).
func setPodDefaults(p *facts.Pod, ranges []corev1.LimitRange) {
	if p.Spec.RestartPolicy == "" {
		p.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	for i := range p.Spec.Volumes {
		if source := &p.Spec.Volumes[i].VolumeSource; *source == (corev1.VolumeSource{}) {
			source.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	for _, list := range [][]facts.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			c := &list[i]
			c.Resources.Requests = missing(c.Resources.Requests, c.Resources.Limits)
			for _, r := range ranges {
				for _, item := range r.Spec.Limits {
					if item.Type == corev1.LimitTypeContainer {
						c.Resources.Limits = missing(c.Resources.Limits, item.Default)
						c.Resources.Requests = missing(c.Resources.Requests, item.DefaultRequest)
					}
				}
			}
			if !p.Spec.HostNetwork {
				continue
			}
			for j := range c.Ports {
				if c.Ports[j].HostPort == 0 {
					c.Ports[j].HostPort = c.Ports[j].ContainerPort
				}
			}
		}
	}
}

// setLimitRangeDefaults fills in what an API server would
// (SetDefaults_LimitRangeItem).
func setLimitRangeDefaults(lr *corev1.LimitRange) {
	for i := range lr.Spec.Limits {
		if item := &lr.Spec.Limits[i]; item.Type == corev1.LimitTypeContainer {
			item.Default = missing(item.Default, item.Max)
			item.DefaultRequest = missing(item.DefaultRequest, item.Default)
			item.DefaultRequest = missing(item.DefaultRequest, item.Min)
		}
	}
}

// missing returns list with those of the defaults that it lacks.
func missing(list, defaults corev1.ResourceList) corev1.ResourceList {
	if len(defaults) == 0 {
		return list
	}
	out := maps.Clone(defaults)
	maps.Copy(out, list)
	return out
}
