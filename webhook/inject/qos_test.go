package inject_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestSidecarKeepsTheQoSClass(t *testing.T) {
	type rr = corev1.ResourceRequirements
	wantsMore := withParams("resources: {requests: {cpu: 20m, memory: 16Mi}, limits: {cpu: 40m, memory: 64Mi}}")
	podLevel := func(r rr) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.Resources = &r } }
	cases := []struct {
		name             string
		pod              *corev1.Pod
		requests, limits corev1.ResourceList
	}{
		{"BestEffort", app("debug"), nil, nil},
		{"BestEffort, although parameters ask", app("debug", wantsMore), nil, nil},
		{"BestEffort by zeros", app("debug", withResources(rr{Requests: list("cpu", "0")})), nil, nil},
		{"Burstable", app("debug", withResources(rr{Requests: list("cpu", "1")})), list("cpu", "10m", "memory", "32Mi"), list("memory", "256Mi")},
		{"Burstable with parameters", app("debug", withResources(rr{Requests: list("cpu", "1")}), wantsMore), list("cpu", "20m", "memory", "16Mi"), list("cpu", "40m", "memory", "64Mi")},
		{"Guaranteed", app("debug", withResources(guaranteed())), list("cpu", "10m", "memory", "256Mi"), list("cpu", "10m", "memory", "256Mi")},
		{"Guaranteed with parameters", app("debug", withResources(guaranteed()), wantsMore), list("cpu", "40m", "memory", "64Mi"), list("cpu", "40m", "memory", "64Mi")},
		{"Guaranteed by limits alone", app("debug", withResources(rr{Limits: guaranteed().Limits})), list("cpu", "10m", "memory", "256Mi"), list("cpu", "10m", "memory", "256Mi")},
		{"Guaranteed, parameters of zero", app("debug", withResources(guaranteed()), withParams(`resources: {requests: {cpu: "0", memory: "0"}, limits: {cpu: "0", memory: "0"}}`)),
			list("cpu", "100m", "memory", "128Mi"), list("cpu", "100m", "memory", "128Mi")},
		{"pod-level, Guaranteed", app("debug", podLevel(guaranteed())), nil, nil},
		{"pod-level, Burstable", app("debug", podLevel(rr{Requests: list("memory", "1Gi")}), withResources(guaranteed())), nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, d := worldOf(cluster(), nil).inject(t, c.pod)
			if !d.Inject {
				t.Fatal(d.Reason)
			}
			r := ours(got)[0].Resources
			if !sameList(r.Requests, c.requests) || !sameList(r.Limits, c.limits) {
				t.Errorf("got requests %v, limits %v; want %v, %v", r.Requests, r.Limits, c.requests, c.limits)
			}
			if was, is := qos(c.pod), qos(got); was != is || !strings.Contains(stepDetail(d.Steps, "resources"), string(was)) {
				t.Errorf("the pod was %s and is %s; %s", was, is, stepDetail(d.Steps, "resources"))
			}
		})
	}
}

func sameList(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, q := range a {
		if other, ok := b[name]; !ok || q.Cmp(other) != 0 {
			return false
		}
	}
	return true
}
