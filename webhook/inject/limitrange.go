package inject

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	componentresource "k8s.io/component-helpers/resource"
)

// limitRangeRefuses says how the sidecar, or the pod with it, breaks the
// LimitRange; empty if it does not.
func limitRangeRefuses(lr *corev1.LimitRange, sidecar *corev1.Container, pod *corev1.Pod) string {
	for _, item := range lr.Spec.Limits {
		var requests, limits corev1.ResourceList
		var what string
		switch item.Type {
		case corev1.LimitTypeContainer:
			requests, limits, what = sidecar.Resources.Requests, sidecar.Resources.Limits, "the sidecar"
		case corev1.LimitTypePod:
			options := componentresource.PodResourcesOptions{ExcludeOverhead: true} // as LimitRanger sums
			requests, limits = componentresource.PodRequests(pod, options), componentresource.PodLimits(pod, options)
			what = "the pod with the sidecar"
		default:
			continue
		}
		if problem := outside(item, requests, limits); problem != "" {
			return fmt.Sprintf("LimitRange %s would refuse %s: %s; %s", lr.Name, what, problem, setResources)
		}
	}
	return ""
}

// outside says how requests and limits break the item, in LimitRanger's terms.
func outside(item corev1.LimitRangeItem, requests, limits corev1.ResourceList) string {
	for _, name := range sortedNames(item.Min) {
		minimum := item.Min[name]
		request, ok := requests[name]
		if limit, limited := limits[name]; !ok || request.Cmp(minimum) < 0 || limited && limit.Cmp(minimum) < 0 {
			return fmt.Sprintf("%s has to be at least %s", name, minimum.String())
		}
	}
	for _, name := range sortedNames(item.Max) {
		maximum := item.Max[name]
		limit, ok := limits[name]
		if request := requests[name]; !ok || limit.Cmp(maximum) > 0 || request.Cmp(maximum) > 0 {
			return fmt.Sprintf("the %s limit has to be at most %s", name, maximum.String())
		}
	}
	for _, name := range sortedNames(item.MaxLimitRequestRatio) {
		ratio := item.MaxLimitRequestRatio[name]
		request, limit := requests[name], limits[name]
		if request.Sign() <= 0 || limit.Sign() <= 0 || quotient(limit, request) > ratio.AsApproximateFloat64() {
			return fmt.Sprintf("the %s limit has to be at most %s times the request", name, ratio.String())
		}
	}
	return ""
}

// quotient divides in thousandths where they fit, as LimitRanger does.
func quotient(a, b resource.Quantity) float64 {
	if max(a.Value(), b.Value()) <= resource.MaxMilliValue {
		return float64(a.MilliValue()) / float64(b.MilliValue())
	}
	return float64(a.Value()) / float64(b.Value())
}

// sortedNames keeps reasons the same from one decision to the next.
func sortedNames[V any](list map[corev1.ResourceName]V) []corev1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}
