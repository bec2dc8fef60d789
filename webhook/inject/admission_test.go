package inject_test

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	componentresource "k8s.io/component-helpers/resource"
	"pgregory.net/rapid"
)

// limitsAdmit says whether the namespace's LimitRanges and quotas admit the pod,
// as documented for the plug-ins LimitRanger and ResourceQuota. It looks at each
// container, not just at ours, and gives the pod its defaults first.
func limitsAdmit(w world, pod *corev1.Pod) (bool, string) {
	pod = pod.DeepCopy()
	setDefaults(pod)
	limitRangeDefaults(w, pod)
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			for name, request := range c.Resources.Requests {
				if limit, ok := c.Resources.Limits[name]; ok && request.Cmp(limit) > 0 {
					return false, fmt.Sprintf("%s: request above limit", c.Name)
				}
			}
		}
	}
	if ok, why := podLevelAdmits(pod); !ok {
		return false, why
	}
	for _, lr := range w.namespace.LimitRanges {
		for _, item := range lr.Spec.Limits {
			if ok, why := itemAdmits(item, pod); !ok {
				return false, why
			}
		}
	}
	for i := range w.namespace.Quotas {
		if ok, why := quotaAdmits(&w.namespace.Quotas[i], pod); !ok {
			return false, why
		}
	}
	return true, ""
}

func limitRangeDefaults(w world, pod *corev1.Pod) {
	for _, lr := range w.namespace.LimitRanges {
		for _, item := range lr.Spec.Limits {
			if item.Type != corev1.LimitTypeContainer {
				continue
			}
			for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
				for i := range list {
					r := &list[i].Resources
					r.Requests, r.Limits = filled(r.Requests, item.DefaultRequest), filled(r.Limits, item.Default)
				}
			}
		}
	}
}

func filled(list, defaults corev1.ResourceList) corev1.ResourceList {
	out := list.DeepCopy()
	if out == nil {
		out = corev1.ResourceList{}
	}
	for name, q := range defaults {
		if _, ok := out[name]; !ok {
			out[name] = q
		}
	}
	return out
}

func podLevelAdmits(pod *corev1.Pod) (bool, string) {
	if pod.Spec.Resources == nil {
		return true, ""
	}
	sum := componentresource.AggregateContainerRequests(pod, componentresource.PodResourcesOptions{})
	for name, level := range pod.Spec.Resources.Requests {
		if q := sum[name]; q.Cmp(level) > 0 {
			return false, fmt.Sprintf("%s: containers request more than the pod", name)
		}
	}
	for _, c := range pod.Spec.Containers {
		for name, level := range pod.Spec.Resources.Limits {
			if q := c.Resources.Limits[name]; q.Cmp(level) > 0 {
				return false, fmt.Sprintf("%s: limit of %s above the pod's", name, c.Name)
			}
		}
	}
	return true, ""
}

func itemAdmits(item corev1.LimitRangeItem, pod *corev1.Pod) (bool, string) {
	type subject struct{ requests, limits corev1.ResourceList }
	var subjects []subject
	switch item.Type {
	case corev1.LimitTypeContainer:
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			subjects = append(subjects, subject{c.Resources.Requests, c.Resources.Limits})
		}
	case corev1.LimitTypePod:
		o := componentresource.PodResourcesOptions{ExcludeOverhead: true}
		subjects = append(subjects, subject{componentresource.PodRequests(pod, o), componentresource.PodLimits(pod, o)})
	}
	for _, s := range subjects {
		for name, least := range item.Min {
			request, ok := s.requests[name]
			if limit, limited := s.limits[name]; !ok || request.Cmp(least) < 0 || limited && limit.Cmp(least) < 0 {
				return false, fmt.Sprintf("%s below the minimum", name)
			}
		}
		for name, most := range item.Max {
			limit, ok := s.limits[name]
			if request := s.requests[name]; !ok || limit.Cmp(most) > 0 || request.Cmp(most) > 0 {
				return false, fmt.Sprintf("%s above the maximum", name)
			}
		}
		for name, ratio := range item.MaxLimitRequestRatio {
			request, limit := s.requests[name], s.limits[name]
			if request.IsZero() || limit.IsZero() || float64(limit.MilliValue())/float64(request.MilliValue()) > ratio.AsApproximateFloat64() {
				return false, fmt.Sprintf("%s above the ratio", name)
			}
		}
	}
	return true, ""
}

func quotaAdmits(q *corev1.ResourceQuota, pod *corev1.Pod) (bool, string) {
	for _, scope := range q.Spec.Scopes {
		bestEffort := qos(pod) == corev1.PodQOSBestEffort
		if scope == corev1.ResourceQuotaScopeBestEffort && !bestEffort || scope == corev1.ResourceQuotaScopeNotBestEffort && bestEffort {
			return true, ""
		}
	}
	requests := componentresource.PodRequests(pod, componentresource.PodResourcesOptions{})
	limits := componentresource.PodLimits(pod, componentresource.PodResourcesOptions{})
	for name, of := range map[corev1.ResourceName]struct {
		resource corev1.ResourceName
		total    corev1.ResourceList
		limits   bool
	}{
		"requests.cpu": {"cpu", requests, false}, "requests.memory": {"memory", requests, false}, "cpu": {"cpu", requests, false},
		"limits.cpu": {"cpu", limits, true}, "limits.memory": {"memory", limits, true},
	} {
		hard, ok := q.Spec.Hard[name]
		if !ok {
			continue
		}
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			list := c.Resources.Requests
			if of.limits {
				list = c.Resources.Limits
			}
			if _, has := list[of.resource]; !has && !componentresource.IsPodLevelResourcesSet(pod) {
				return false, fmt.Sprintf("%s has no %s", c.Name, name)
			}
		}
		sum := of.total[of.resource]
		sum.Add(q.Status.Used[name])
		if sum.Cmp(hard) > 0 {
			return false, fmt.Sprintf("%s exceeded", name)
		}
	}
	return true, ""
}

func genLimits(t *rapid.T) func(*world) {
	some := func(what string, names []string, values []string) corev1.ResourceList {
		out := corev1.ResourceList{}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID).Draw(t, what) {
			out[corev1.ResourceName(name)] = resource.MustParse(rapid.SampledFrom(values).Draw(t, name))
		}
		return out
	}
	compute := []string{"cpu", "memory", "ephemeral-storage"}
	return func(w *world) {
		if rapid.Bool().Draw(t, "limitRange") {
			item := corev1.LimitRangeItem{
				Type: rapid.SampledFrom([]corev1.LimitType{"Container", "Container", "Pod"}).Draw(t, "type"),
				Min:  some("min", compute, []string{"0", "1m", "64Mi"}), Max: some("max", compute, []string{"1m", "1Gi", "64Gi"}),
				MaxLimitRequestRatio: some("ratio", compute, []string{"1", "2", "8"}),
			}
			if item.Type == corev1.LimitTypeContainer { // the API server fills in the rest of the defaults
				item.Default = filled(some("default", compute, []string{"1", "1Gi"}), item.Max)
				item.DefaultRequest = filled(filled(some("defaultRequest", compute, []string{"1m", "64Mi"}), item.Default), item.Min)
			}
			limitRange(item)(w)
		}
		if rapid.Bool().Draw(t, "quota") {
			names := []string{"requests.cpu", "requests.memory", "cpu", "limits.cpu", "limits.memory", "pods"}
			q := []string{"500m", "1", "2Gi", "64Gi"}
			scopes := rapid.SliceOfN(rapid.SampledFrom([]corev1.ResourceQuotaScope{"BestEffort", "NotBestEffort"}), 0, 1).Draw(t, "scopes")
			quota(some("hard", names, q), some("used", names, []string{"0", "100m", "1Gi"}), scopes...)(w)
		}
	}
}

func TestPodThatLimitsAdmitIsStillAdmitted(t *testing.T) {
	injected := 0
	rapid.Check(t, func(t *rapid.T) {
		w, pod := genWorld.Draw(t, "world"), withoutOurs(genPod.Draw(t, "pod"))
		genLimits(t)(&w)
		setDefaults(pod)
		limitRangeDefaults(w, pod) // the plug-in has been here before the webhook
		if ok, _ := limitsAdmit(w, pod); !ok {
			return
		}
		after, d := checkMutation(t, w, pod)
		mutated := decode(t, after)
		if ok, why := limitsAdmit(w, mutated); !ok {
			t.Fatalf("admitted without the sidecar, but with it: %s\n%s", why, after)
		}
		setDefaults(mutated)
		limitRangeDefaults(w, mutated)
		if was, is := qos(pod), qos(mutated); was != is {
			t.Fatalf("the pod was %s and is %s with the LimitRange's defaults", was, is)
		}
		if d.Inject {
			injected++
			checkUnchanged(t, w, encode(t, mutated))
		}
	})
	t.Logf("%d pods got a sidecar", injected)
}
