package inject_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func limitRange(items ...corev1.LimitRangeItem) func(*world) {
	return func(w *world) {
		lr := corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: items}}
		lr.Name = "limits"
		w.namespace.LimitRanges = append(w.namespace.LimitRanges, lr)
	}
}

func quota(hard, used corev1.ResourceList, scopes ...corev1.ResourceQuotaScope) func(*world) {
	return func(w *world) {
		q := corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: hard, Scopes: scopes}, Status: corev1.ResourceQuotaStatus{Used: used}}
		q.Name = "quota"
		w.namespace.Quotas = append(w.namespace.Quotas, q)
	}
}

func TestSidecarRespectsLimitRangesAndQuotas(t *testing.T) {
	type item = corev1.LimitRangeItem
	type rr = corev1.ResourceRequirements
	container, podType := corev1.LimitTypeContainer, corev1.LimitTypePod
	burstable := withResources(rr{Requests: list("cpu", "500m", "memory", "512Mi")})
	podLevel := func(r rr) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.Resources = &r } }
	cases := []struct {
		name   string
		pod    *corev1.Pod
		change func(*world)
		refuse string // empty: injected
	}{
		{"LimitRange with room", app("debug", burstable), limitRange(item{Type: container, Max: list("memory", "1Gi"), Min: list("memory", "16Mi")}), ""},
		{"memory below the minimum", app("debug", burstable), limitRange(item{Type: container, Min: list("memory", "64Mi")}), "memory has to be at least 64Mi"},
		{"memory below the minimum, but set", app("debug", burstable, withParams("resources: {requests: {memory: 64Mi}}")), limitRange(item{Type: container, Min: list("memory", "64Mi")}), ""},
		{"memory above the maximum", app("debug", burstable), limitRange(item{Type: container, Max: list("memory", "128Mi")}), "memory limit has to be at most 128Mi"},
		{"no cpu limit where there is a maximum", app("debug", burstable), limitRange(item{Type: container, Max: list("cpu", "1")}), "cpu limit has to be at most 1"},
		{"a default limit helps", app("debug", burstable), limitRange(item{Type: container, Max: list("cpu", "1"), Default: list("cpu", "1"), DefaultRequest: list("cpu", "1")}), ""},
		{"a default limit below the request", app("debug", burstable), limitRange(item{Type: container, Default: list("cpu", "5m")}), "cpu request 10m is above the limit 5m"},
		{"ratio too high", app("debug", burstable), limitRange(item{Type: container, MaxLimitRequestRatio: list("memory", "2")}), "at most 2 times"},
		{"ratio kept", app("debug", burstable), limitRange(item{Type: container, MaxLimitRequestRatio: list("memory", "8")}), ""},
		{"pod above the maximum", app("debug", burstable), limitRange(item{Type: podType, Max: list("memory", "256Mi")}), "the pod with the sidecar"},
		{"overhead does not count for a LimitRange", app("debug", withResources(guaranteed()), func(p *corev1.Pod) { p.Spec.Overhead = list("memory", "100Gi") }),
			limitRange(item{Type: podType, Max: list("memory", "2Gi")}), ""},
		{"BestEffort where a minimum is wanted", app("debug"), limitRange(item{Type: container, Min: list("cpu", "1m")}), "cpu has to be at least 1m"},
		{"defaults that would end BestEffort", app("debug"), limitRange(item{Type: container, DefaultRequest: list("cpu", "1m")}), "would make the sidecar Burstable"},
		{"PersistentVolumeClaims are not our matter", app("debug"), limitRange(item{Type: corev1.LimitTypePersistentVolumeClaim, Max: list("storage", "1Gi")}), ""},
		{"defaults above pod-level limits", app("debug", podLevel(rr{Limits: list("cpu", "1", "memory", "1Gi")})),
			limitRange(item{Type: container, Default: list("cpu", "2"), DefaultRequest: list("cpu", "10m")}), "above the pod's 1"},
		{"defaults above pod-level requests", app("debug", podLevel(rr{Requests: list("cpu", "1")})),
			limitRange(item{Type: container, DefaultRequest: list("cpu", "2")}), "more than the pod's 1"},

		{"quota with room", app("debug", burstable), quota(list("requests.cpu", "1"), list("requests.cpu", "400m")), ""},
		{"quota would be exceeded", app("debug", burstable), quota(list("requests.cpu", "1"), list("requests.cpu", "495m")), "requests.cpu is 1005m of 1"},
		{"quota by its short name", app("debug", burstable), quota(list("memory", "1Gi"), list("memory", "500Mi")), "memory is"},
		{"quota wants a cpu limit", app("debug", burstable), quota(list("limits.cpu", "10"), nil), "wants limits.cpu of each container"},
		{"quota gets a cpu limit", app("debug", burstable, withParams("resources: {limits: {cpu: 100m, memory: 64Mi}}")), quota(list("limits.cpu", "10"), nil), ""},
		{"quota for other things", app("debug", burstable), quota(list("pods", "1", "count/secrets", "0"), list("pods", "1")), ""},
		{"quota for BestEffort pods", app("debug", burstable), quota(list("requests.cpu", "0"), nil, corev1.ResourceQuotaScopeBestEffort), ""},
		{"quota for other than BestEffort pods", app("debug"), quota(list("requests.cpu", "0"), nil, corev1.ResourceQuotaScopeNotBestEffort), ""},
		{"pod-level resources satisfy a quota", app("debug", podLevel(guaranteed())), quota(list("limits.cpu", "1"), nil), ""},
		{"the pod's own request fills the quota", app("debug", burstable), quota(list("requests.cpu", "500m"), nil), "would be exceeded"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := worldOf(cluster(), nil)
			c.change(&w)
			got, d := w.inject(t, c.pod)
			checkExplained(t, d)
			if c.refuse == "" {
				if !d.Inject {
					t.Fatal(d.Reason)
				}
				return
			}
			if d.Inject || d.Code != "limits" || !strings.Contains(d.Reason, c.refuse) {
				t.Fatalf("inject %t, %s: %q; want …%s…", d.Inject, d.Code, d.Reason, c.refuse)
			}
			if len(ours(got)) != 0 {
				t.Fatal("the pod has a sidecar")
			}
		})
	}
}
