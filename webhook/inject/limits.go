package inject

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	componentresource "k8s.io/component-helpers/resource"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// setResources is what a pod's owner can do about limits.
const setResources = "set resources in annotation " + ParamsAnnotation

// wouldRefuse says which LimitRange or ResourceQuota would refuse the pod
// because of the sidecar; empty if none would. It follows the API server's
// plug-ins LimitRanger and ResourceQuota.
func wouldRefuse(f Facts, e *existing, s *profile.Sidecar, qos corev1.PodQOSClass) string {
	if f.Namespace.Unknown {
		return "the namespace's limits and quotas could not be read in time"
	}
	if len(f.Namespace.LimitRanges) == 0 && len(f.Namespace.Quotas) == 0 {
		return ""
	}
	sidecar := &corev1.Container{Name: s.Container.Name, Resources: *s.Container.Resources.DeepCopy(), RestartPolicy: s.Container.RestartPolicy}
	defaultFromLimitRanges(&sidecar.Resources, f.Namespace.LimitRanges)
	pod := resourcePod(f.Pod, e)
	if sidecar.RestartPolicy != nil {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, *sidecar)
	} else {
		pod.Spec.Containers = append(pod.Spec.Containers, *sidecar)
	}
	if why := defaultsRefuse(f.Pod, sidecar, pod, qos); why != "" {
		return why
	}
	for i := range f.Namespace.LimitRanges {
		if why := limitRangeRefuses(&f.Namespace.LimitRanges[i], sidecar, pod); why != "" {
			return why
		}
	}
	for i := range f.Namespace.Quotas {
		if why := quotaRefuses(&f.Namespace.Quotas[i], sidecar, pod, qos, hasPodLevelResources(f.Pod)); why != "" {
			return why
		}
	}
	return ""
}

// defaultFromLimitRanges does what LimitRanger does to a container that leaves
// resources open.
func defaultFromLimitRanges(r *corev1.ResourceRequirements, ranges []corev1.LimitRange) {
	for i := range ranges {
		for _, item := range ranges[i].Spec.Limits {
			if item.Type == corev1.LimitTypeContainer {
				r.Requests = withDefaults(r.Requests, item.DefaultRequest)
				r.Limits = withDefaults(r.Limits, item.Default)
			}
		}
	}
}

// defaultsRefuse says how a LimitRange's defaults on the sidecar would make the
// pod invalid or change its QoS class; empty if they do neither.
func defaultsRefuse(p podOf, sidecar *corev1.Container, pod *corev1.Pod, qos corev1.PodQOSClass) string {
	for _, name := range sortedNames(sidecar.Resources.Requests) {
		request := sidecar.Resources.Requests[name]
		if limit, ok := sidecar.Resources.Limits[name]; ok && request.Cmp(limit) > 0 {
			return fmt.Sprintf("the sidecar's %s request %s is above the limit %s that a LimitRange defaults to; %s",
				name, request.String(), limit.String(), setResources)
		}
	}
	if hasPodLevelResources(p) {
		return podLevelRefuses(p.Spec.Resources, sidecar, pod)
	}
	if class := classOf(&sidecar.Resources); qos != corev1.PodQOSBurstable && class != qos {
		return fmt.Sprintf("a LimitRange's defaults would make the sidecar %s, but the pod is %s", class, qos)
	}
	return ""
}

// podLevelRefuses says how the containers' resources would exceed the pod's.
func podLevelRefuses(level *corev1.ResourceRequirements, sidecar *corev1.Container, pod *corev1.Pod) string {
	sum := componentresource.AggregateContainerRequests(pod, componentresource.PodResourcesOptions{})
	for _, name := range sortedNames(sidecar.Resources.Requests) {
		request, total := level.Requests[name], sum[name]
		if _, ok := level.Requests[name]; ok && total.Cmp(request) > 0 {
			return fmt.Sprintf("with the request that a LimitRange defaults to, the containers' %s requests are %s, more than the pod's %s",
				name, total.String(), request.String())
		}
	}
	for _, name := range sortedNames(sidecar.Resources.Limits) {
		limit, own := level.Limits[name], sidecar.Resources.Limits[name]
		if _, ok := level.Limits[name]; ok && own.Cmp(limit) > 0 {
			return fmt.Sprintf("the %s limit %s that a LimitRange defaults to is above the pod's %s", name, own.String(), limit.String())
		}
	}
	return ""
}
