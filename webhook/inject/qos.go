package inject

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	componentresource "k8s.io/component-helpers/resource"

	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

type (
	podOf       = *facts.Pod
	containerOf = facts.Container
)

// qosOf computes the QoS class of the pod without the sidecar, as
// https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ says: pod-level
// resources decide where there are any (KEP-2837), else all containers and init
// containers do.
func qosOf(pod podOf, e *existing) corev1.PodQOSClass {
	if hasPodLevelResources(pod) {
		return classOf(podLevelResources(pod, e))
	}
	var class corev1.PodQOSClass
	visitOthers(pod, e, func(c *containerOf) bool {
		switch own := classOf(&c.Resources); {
		case class == "":
			class = own
		case class != own:
			class = corev1.PodQOSBurstable
		}
		return class != corev1.PodQOSBurstable
	})
	if class == "" {
		return corev1.PodQOSBestEffort
	}
	return class
}

func hasPodLevelResources(pod podOf) bool {
	if pod.Spec.Resources == nil {
		return false
	}
	for _, list := range [...]corev1.ResourceList{pod.Spec.Resources.Requests, pod.Spec.Resources.Limits} {
		for name := range list {
			if componentresource.IsSupportedPodLevelResource(name) {
				return true
			}
		}
	}
	return false
}

// podLevelResources are the pod's own after the API's defaults: where the pod has
// limits, what the containers request becomes its requests.
func podLevelResources(pod podOf, e *existing) *corev1.ResourceRequirements {
	level := pod.Spec.Resources
	if len(level.Limits) == 0 {
		return level
	}
	sum := componentresource.AggregateContainerRequests(resourcePod(pod, e), componentresource.PodResourcesOptions{})
	defaulted := *level
	defaulted.Requests = maps.Clone(sum)
	maps.Copy(defaulted.Requests, level.Requests)
	return &defaulted
}

// classOf is the class of one set of resources, after the API's defaults.
func classOf(r *corev1.ResourceRequirements) corev1.PodQOSClass {
	cpu, memory := classOfOne(r, corev1.ResourceCPU), classOfOne(r, corev1.ResourceMemory)
	if cpu == memory {
		return cpu
	}
	return corev1.PodQOSBurstable
}

func classOfOne(r *corev1.ResourceRequirements, name corev1.ResourceName) corev1.PodQOSClass {
	request, requested := r.Requests[name]
	limit := r.Limits[name]
	switch {
	case !requested && !limit.IsZero():
		return corev1.PodQOSGuaranteed // the request defaults to the limit
	case request.Cmp(limit) != 0:
		return corev1.PodQOSBurstable
	case request.IsZero():
		return corev1.PodQOSBestEffort
	}
	return corev1.PodQOSGuaranteed
}

// resourcesFor says what the sidecar may ask for so that the pod's class stays.
func resourcesFor(pod podOf, qos corev1.PodQOSClass) profile.Resources {
	switch {
	case hasPodLevelResources(pod):
		// The containers share the pod's: a request of ours could exceed it.
		return profile.NoneForCPUAndMemory
	case qos == corev1.PodQOSGuaranteed:
		return profile.RequestsAreLimits
	case qos == corev1.PodQOSBestEffort:
		return profile.NoneForCPUAndMemory
	}
	return profile.AsRendered
}
