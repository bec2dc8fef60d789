package shape

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestADenialNamesTheRule(t *testing.T) {
	o := options()
	o.Profile = NetAdmin
	pod := podOf()
	for _, c := range []struct {
		ns   Namespace
		want Denial
	}{
		{labelled(enforce, "baseline"), Denial{Policy: "Pod Security baseline:latest", Rule: "non-default capabilities", Message: "debugger-abcde"}},
		{labelled("policy.debugsidecar.io/enforce", "baseline"), Denial{Policy: "policy.debugsidecar.io/enforce baseline", Rule: "capabilities", Message: "NET_ADMIN", Fix: "remove"}},
	} {
		p := plan(t, pod, c.ns, o)
		if len(p.Candidates) != 0 || len(p.Refused) != 1 {
			t.Fatalf("%+v", p)
		}
		d := p.Refused[0].Denials[0]
		if d.Policy != c.want.Policy || d.Rule != c.want.Rule || !strings.Contains(d.Message, c.want.Message) || !strings.Contains(d.Fix, c.want.Fix) {
			t.Errorf("got %+v, want %+v", d, c.want)
		}
	}
}

func TestThePodItselfIsInTheWay(t *testing.T) {
	p := plan(t, podOf(), labelled(enforce, "restricted"), options())
	if len(p.Candidates) != 0 || !strings.Contains(strings.Join(p.Notes, "\n"), "the pod itself does not pass Pod Security restricted:latest") {
		t.Errorf("%+v", p)
	}
	// Ours judge what is added alone.
	p = plan(t, podOf(runsAs(1000, 2000)), labelled("policy.debugsidecar.io/enforce", "restricted"), options())
	if len(p.Candidates) != 1 || strings.Contains(strings.Join(p.Notes, "\n"), "the pod itself") {
		t.Errorf("%+v", p)
	}
}

func TestAnOlderVersionOfPodSecurityIsAsked(t *testing.T) {
	// With user namespaces, newer versions let root in.
	pod := podOf(runsAs(0, 0), secure(corev1.SecurityContext{
		RunAsNonRoot: new(false), AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}), func(p *corev1.Pod) { p.Spec.HostUsers = new(false) })
	newest, _ := profilesOf(plan(t, pod, labelled(enforce, "restricted"), options()))
	old, _ := profilesOf(plan(t, pod, labelled(enforce, "restricted", enforce+"-version", "v1.30"), options()))
	if len(newest) != 2 || newest[0] != Baseline || len(old) != 0 {
		t.Errorf("newest %v, v1.30 %v", newest, old)
	}
}
