package profile

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// fitQOS changes cpu and memory so that the pod's QoS class stays (see
// https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/).
func fitQOS(r *corev1.ResourceRequirements, want Resources) {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		switch want {
		case NoneForCPUAndMemory:
			delete(r.Requests, name)
			delete(r.Limits, name)
		case RequestsAreLimits:
			q, ok := r.Limits[name]
			if !ok {
				q, ok = r.Requests[name]
			}
			if !ok || q.IsZero() {
				q = defaultGuaranteed[name]
			}
			if r.Requests == nil {
				r.Requests = corev1.ResourceList{}
			}
			if r.Limits == nil {
				r.Limits = corev1.ResourceList{}
			}
			r.Requests[name], r.Limits[name] = q, q
		}
	}
	if len(r.Requests) == 0 {
		r.Requests = nil
	}
	if len(r.Limits) == 0 {
		r.Limits = nil
	}
}

// defaultGuaranteed is what a profile that names no resources gets in a
// Guaranteed pod, which can't do without.
var defaultGuaranteed = corev1.ResourceList{
	corev1.ResourceCPU:    resource.MustParse("100m"),
	corev1.ResourceMemory: resource.MustParse("128Mi"),
}
