package chart

import (
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// A copy is sent once, whatever its labels and its namespace's are, and whatever
// else pods are sent for.
func TestACopyIsSentOnce(t *testing.T) {
	values := []string{missing, "", "disabled", "video-probe"}
	for name, settings := range map[string]string{
		"plain":   "",
		"trimmed": "policy: {default: baseline, capabilities: {trim: true}}",
		"filled":  "policy: {parameters: {namespaces: {video: {selinux: {fill: true, level: s0}}}}}",
	} {
		t.Run(name, func(t *testing.T) {
			settings := settings + "\nexcludedNamespaces: [" + excluded + "]"
			entries := mutating(only[*admission.MutatingWebhookConfiguration](t, render(t, settings)))
			off := mutating(only[*admission.MutatingWebhookConfiguration](t, render(t, settings+"\nsessions: {enabled: false}")))
			for _, name := range []string{"video", excluded, namespace, "kube-system"} {
				for _, ns := range combinations(values, injectLabel) {
					ns[nameLabel] = name
					for _, pod := range combinations(values, injectLabel) {
						pod[session.CopyOfLabel] = "a-uid"
						var by []string
						for _, e := range entries {
							if e.takes(t, admission.Create, "", "pods", ns, pod) {
								by = append(by, e.name)
							}
						}
						if want := name == "video"; len(by) > 1 || (len(by) == 1) != want {
							t.Errorf("namespace %v, pod %v: sent to %v, want it sent: %v", ns, pod, by, want)
						}
					}
				}
			}
			for _, e := range off {
				if strings.Contains(e.name, "session") {
					t.Errorf("entry %s is there without sessions", e.name)
				}
			}
		})
	}
}

func TestThePluginIsToldOfTheInstallation(t *testing.T) {
	for _, m := range all[*corev1.ConfigMap](render(t, variants(t)["everything"])) {
		if m.Name == "probes-debug" {
			if m.Data["image"] != "registry.example/mirror/debug:0.1.0" || m.Data["ttl"] != "30m" || m.Data["maxTTL"] != "2h30m" {
				t.Errorf("it has %v", m.Data)
			}
			return
		}
	}
	t.Error("there is no ConfigMap for it")
}
