package policies_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

const trimming = `
capabilities: {trim: true, images: {registry.example.com/cameras/: [NET_RAW]}}
rules: {}
namespaces:
  warned: {rules: {capabilities: {mode: warn}}}
  denied: {capabilities: {trim: false}}
`

// trims returns what would be taken, as container: names.
func trims(t testing.TB, e *policies.Evaluator, r policies.Request) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, v := range evaluate(t, e, r).Violations {
		if len(v.Trim) > 0 {
			all[v.Container] += strings.Join(v.Trim, " ")
		}
	}
	return all
}

func TestOnlyAddedCapabilitiesThatWouldBeDeniedAreTrimmed(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, trimming))
	pod := podOf(t, `
spec:
  hostPID: true
  containers:
  - {name: app, image: "registry.example.com/app", securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN, NET_RAW, CHOWN, ""]}}}
  initContainers:
  - {name: probe, image: "registry.example.com/cameras/probe", securityContext: {capabilities: {add: [NET_RAW, BPF]}}}
  - {name: debugsidecar-full, securityContext: {capabilities: {add: [BPF]}}}
  ephemeralContainers:
  - {name: debugger, securityContext: {capabilities: {add: [SYS_PTRACE]}}}
`)
	for _, c := range []struct {
		namespace            string
		modes                policies.Modes
		app, probe, debugger string
	}{
		{"media", enforce(policies.Baseline), "SYS_ADMIN NET_RAW ", "BPF", "SYS_PTRACE"},
		{"media", enforce(policies.Restricted), "SYS_ADMIN NET_RAW CHOWN ", "NET_RAW BPF", "SYS_PTRACE"},
		{"media", policies.Modes{Warn: policies.Restricted, Audit: policies.Restricted}, "", "", ""},
		{"media", policies.Modes{Enforce: policies.Baseline, Warn: policies.Restricted}, "SYS_ADMIN NET_RAW ", "BPF", "SYS_PTRACE"},
		{"warned", enforce(policies.Restricted), "", "", ""},
		{"denied", enforce(policies.Restricted), "", "", ""},
	} {
		got := trims(t, evaluator, policies.Request{Namespace: c.namespace, Modes: c.modes, Pod: pod})
		if got["app"] != c.app || got["probe"] != c.probe || got["debugger"] != c.debugger || got["debugsidecar-full"] != "" {
			t.Errorf("in %s at %+v: %q", c.namespace, c.modes, got)
		}
	}
	if got := trims(t, evaluator, policies.Request{Namespace: "media", Modes: enforce(policies.Baseline), Pod: pod, Old: pod}); len(got) > 0 {
		t.Errorf("what was there already is trimmed: %q", got)
	}
	if !evaluator.Trims("media") || evaluator.Trims("denied") {
		t.Errorf("media is trimmed: %v, denied: %v", evaluator.Trims("media"), evaluator.Trims("denied"))
	}
}

// Without what was to go, the rule finds nothing in what containers add.
func TestWhatTrimmingLeavesIsAdmittedByTheRule(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, trimming))
	rapid.Check(t, func(r *rapid.T) {
		pod := lean(t, pods.Draw(r, "pod"))
		request := policies.Request{Namespace: "media", Modes: enforce(some(policies.Baseline, policies.Restricted).Draw(r, "level")), Pod: pod}
		lists := [][]facts.Container{pod.Spec.Containers, pod.Spec.InitContainers, pod.Spec.EphemeralContainers}
		for i, list := range lists {
			for j := range list {
				list[j].Name = fmt.Sprint("unique", i, j)
			}
		}
		for _, v := range evaluate(t, evaluator, request).Violations {
			for _, c := range slices.Concat(lists...) {
				if len(v.Trim) > 0 && c.Name == v.Container {
					own := c.SecurityContext.Capabilities
					own.Add = slices.DeleteFunc(own.Add, func(name corev1.Capability) bool { return slices.Contains(v.Trim, string(name)) })
				}
			}
		}
		for _, v := range evaluate(t, evaluator, request).Violations {
			if strings.HasSuffix(v.Field, "capabilities.add") {
				r.Fatalf("still refused: %s", v.Message)
			}
		}
	})
}
