package inject

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// resourcePod is the pod of its owner, as far as its resources go, after the
// API's defaults.
func resourcePod(p podOf, e *existing) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Spec.Resources = p.Spec.Resources
	pod.Spec.Overhead = p.Spec.Overhead
	convert := func(list []containerOf) (out []corev1.Container) {
		for i := range list {
			c := &list[i]
			if e.isOurs(c.Name) {
				continue
			}
			r := c.Resources
			r.Requests = withDefaults(maps.Clone(r.Requests), r.Limits)
			out = append(out, corev1.Container{Name: c.Name, Resources: r, RestartPolicy: c.RestartPolicy})
		}
		return out
	}
	pod.Spec.InitContainers = convert(p.Spec.InitContainers)
	pod.Spec.Containers = convert(p.Spec.Containers)
	return pod
}

// withDefaults adds to a list what it lacks of the defaults.
func withDefaults(list, defaults corev1.ResourceList) corev1.ResourceList {
	for name, q := range defaults {
		if _, ok := list[name]; !ok {
			if list == nil {
				list = corev1.ResourceList{}
			}
			list[name] = q
		}
	}
	return list
}
