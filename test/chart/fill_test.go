package chart

import (
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
)

// A pod of a namespace that opted in is sent wherever labels don't send it
// already, and no other pod is.
func TestPodIsSentOnceWhereALevelIsFilledIn(t *testing.T) {
	entries := mutating(only[*admission.MutatingWebhookConfiguration](t, render(t, `
excludedNamespaces: [`+excluded+`]
policy:
  parameters:
    selinux: {range: "s0:c1"}
    namespaces:
      filled: {selinux: {fill: true}}
      `+excluded+`: {selinux: {fill: true}}
      asked: {selinux: {range: "s0:c2", fill: false}}
      labs: {hostPorts: {allowed: []}}
      other: null
`)))
	for _, name := range []string{"filled", "asked", "labs", "other", excluded, namespace, "kube-system"} {
		for _, ns := range combinations([]string{missing, "", "disabled", "video-probe"}, injectLabel) {
			ns[nameLabel] = name
			for _, pod := range combinations([]string{missing, "", "disabled", "video-probe"}, injectLabel) {
				injected, filled := 0, 0
				for _, e := range entries {
					switch taken := e.takes(t, admission.Create, "", "pods", ns, pod); {
					case taken && strings.HasSuffix(e.name, ".fill.debugsidecar.io"):
						filled++
					case taken:
						injected++
					}
				}
				if injected+filled > 1 || name == "filled" && injected+filled != 1 || name != "filled" && filled > 0 {
					t.Errorf("namespace %v, pod %v: %d entries inject, %d fill in", ns, pod, injected, filled)
				}
			}
		}
	}
}

func TestPodsThatNameALevelAreNotSentToBeFilledIn(t *testing.T) {
	found := 0
	for _, e := range mutating(only[*admission.MutatingWebhookConfiguration](t, render(t, `policy: {parameters: {namespaces: {filled: {selinux: {range: "s0:c1", fill: true}}}}}`))) {
		if !strings.HasSuffix(e.name, ".fill.debugsidecar.io") {
			continue
		}
		found++
		if len(e.matchConditions) != 1 || !strings.Contains(e.matchConditions[0].Expression, "seLinuxOptions.level != ''") || e.failurePolicy != admission.Ignore {
			t.Errorf("%s: %+v, %s", e.name, e.matchConditions, e.failurePolicy)
		}
	}
	if found != 3 {
		t.Errorf("%d entries fill in, want one for each case in which no label sends a pod", found)
	}
}
