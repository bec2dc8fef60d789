package chart

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
)

func TestPodIsSentOnceWhereItIsTrimmed(t *testing.T) {
	labels := []string{missing, "", "disabled", "video-probe"}
	for name, c := range map[string]struct {
		policy  string
		trimmed map[string]bool // by namespace, where a level is enforced
	}{
		"nowhere":        {`{default: %q}`, nil},
		"everywhere":     {`{default: %q, capabilities: {trim: true}}`, map[string]bool{"video": true, "labs": true, "other": true}},
		"all but one":    {`{default: %q, capabilities: {trim: true}, parameters: {namespaces: {labs: {capabilities: {trim: false}}, video: {rules: {}}, other: null}}}`, map[string]bool{"video": true, "other": true}},
		"one":            {`{default: %q, parameters: {namespaces: {labs: {capabilities: {trim: true}}, video: {capabilities: {allowedAdd: []}}}}}`, map[string]bool{"labs": true}},
		"by a parameter": {`{default: %q, parameters: {capabilities: {trim: true}}}`, map[string]bool{"video": true, "labs": true, "other": true}},
		"overruled":      {`{default: %q, capabilities: {trim: true}, parameters: {capabilities: {trim: false}}}`, nil},
	} {
		for _, level := range []string{"off", "baseline"} {
			t.Run(name+" "+level, func(t *testing.T) {
				values := "excludedNamespaces: [" + excluded + "]\npolicy: " + fmt.Sprintf(c.policy, level)
				entries := mutating(only[*admission.MutatingWebhookConfiguration](t, render(t, values+"\nsessions: {enabled: false}")))
				recording := mutating(only[*admission.MutatingWebhookConfiguration](t, render(t, values)))
				for _, name := range []string{"video", "labs", "other", excluded, namespace, "kube-system"} {
					for _, enforce := range []string{missing, "off", "restricted", "misspelt"} {
						enforced := enforce != "off" && (enforce != missing || level != "off")
						want := c.trimmed[name] && enforced
						for _, ns := range combinations(labels, injectLabel) {
							ns[nameLabel] = name
							if enforce != missing {
								ns[policyLabel+"enforce"] = enforce
							}
							checkSent(t, entries, ns, want, want)
							checkSent(t, recording, ns, want, !slices.Contains([]string{excluded, namespace, "kube-system"}, name))
						}
					}
				}
			})
		}
	}
}

// checkSent says whether each pod in a namespace is sent at most once, and for
// trimming where it should be, if no other entry takes it; and the same for
// ephemeral containers.
func checkSent(t *testing.T, entries []entry, ns map[string]string, want, ephemeral bool) {
	t.Helper()
	for _, pod := range combinations([]string{missing, "", "disabled", "video-probe"}, injectLabel) {
		injected, trimmed := 0, 0
		for _, e := range entries {
			switch taken := e.takes(t, admission.Create, "", "pods", ns, pod); {
			case taken && strings.HasSuffix(e.name, ".trim.debugsidecar.io"):
				trimmed++
			case taken:
				injected++
			}
		}
		if injected+trimmed > 1 || want && injected+trimmed != 1 || !want && trimmed > 0 {
			t.Errorf("namespace %v, pod %v: %d entries inject, %d trim; want it sent for trimming: %v", ns, pod, injected, trimmed, want)
		}
	}
	sent := 0
	for _, e := range entries {
		if e.takes(t, admission.Update, "", "pods/ephemeralcontainers", ns, nil) {
			sent++
		}
	}
	if (sent == 1) != ephemeral || sent > 1 {
		t.Errorf("namespace %v: ephemeral containers are sent to %d entries, want %v", ns, sent, ephemeral)
	}
}

func TestPodsThatAddNoCapabilitiesAreNotSentForTrimming(t *testing.T) {
	for _, e := range mutating(only[*admission.MutatingWebhookConfiguration](t, render(t, `policy: {capabilities: {trim: true}}`))) {
		if !strings.HasSuffix(e.name, ".trim.debugsidecar.io") {
			continue
		}
		if len(e.matchConditions) != 1 || !strings.Contains(e.matchConditions[0].Expression, "capabilities.add.size() > 0") || e.failurePolicy != admission.Ignore {
			t.Errorf("%s: %+v, %s", e.name, e.matchConditions, e.failurePolicy)
		}
	}
}
