package inject

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	componentresource "k8s.io/component-helpers/resource"
)

// quotaResources maps a quota's names of compute resources.
var quotaResources = map[corev1.ResourceName]struct {
	resource corev1.ResourceName
	limit    bool
}{
	corev1.ResourceCPU:                      {corev1.ResourceCPU, false},
	corev1.ResourceMemory:                   {corev1.ResourceMemory, false},
	corev1.ResourceEphemeralStorage:         {corev1.ResourceEphemeralStorage, false},
	corev1.ResourceRequestsCPU:              {corev1.ResourceCPU, false},
	corev1.ResourceRequestsMemory:           {corev1.ResourceMemory, false},
	corev1.ResourceRequestsEphemeralStorage: {corev1.ResourceEphemeralStorage, false},
	corev1.ResourceLimitsCPU:                {corev1.ResourceCPU, true},
	corev1.ResourceLimitsMemory:             {corev1.ResourceMemory, true},
	corev1.ResourceLimitsEphemeralStorage:   {corev1.ResourceEphemeralStorage, true},
}

// quotaRefuses says how the pod with the sidecar breaks the quota; empty if it
// does not. It is strict where a quota's scope can't be told from the facts: a
// pod without a sidecar is better than no pod.
func quotaRefuses(q *corev1.ResourceQuota, sidecar *corev1.Container, pod *corev1.Pod, qos corev1.PodQOSClass, podLevel bool) string {
	bestEffort := qos == corev1.PodQOSBestEffort
	if slices.Contains(q.Spec.Scopes, corev1.ResourceQuotaScopeBestEffort) && !bestEffort ||
		slices.Contains(q.Spec.Scopes, corev1.ResourceQuotaScopeNotBestEffort) && bestEffort {
		return ""
	}
	for _, hardName := range sortedNames(q.Spec.Hard) {
		compute, ok := quotaResources[hardName]
		if !ok {
			continue
		}
		list, total := sidecar.Resources.Requests, componentresource.PodRequests
		if compute.limit {
			list, total = sidecar.Resources.Limits, componentresource.PodLimits
		}
		own, has := list[compute.resource]
		if !has && !podLevel && compute.resource != corev1.ResourceEphemeralStorage {
			return fmt.Sprintf("ResourceQuota %s wants %s of each container; %s", q.Name, hardName, setResources)
		}
		if own.IsZero() {
			continue
		}
		hard, sum := q.Spec.Hard[hardName], resource.Quantity{}
		sum.Add(total(pod, componentresource.PodResourcesOptions{})[compute.resource])
		sum.Add(q.Status.Used[hardName])
		if sum.Cmp(hard) > 0 {
			return fmt.Sprintf("ResourceQuota %s would be exceeded: %s is %s of %s with the sidecar", q.Name, hardName, sum.String(), hard.String())
		}
	}
	return ""
}
