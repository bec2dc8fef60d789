package inject_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// ownProfile is a profile "own" with the given lines in its spec.
func ownProfile(lines string) string {
	return `apiVersion: debugsidecar.io/v1alpha1
kind: Profile
metadata:
  name: own
spec:
` + lines + `
  template: |
    containers:
    - name: debugsidecar-own
      image: {{ .images.debug }}
      ports:
      - name: metrics
        containerPort: {{ .port }}
      securityContext:
        allowPrivilegeEscalation: false
        runAsNonRoot: true
        runAsUser: 65532
        capabilities: {drop: [ALL]}
        seccompProfile: {type: RuntimeDefault}
`
}

func TestProfilesCanRequireFactsOfThePod(t *testing.T) {
	sgx := `  requires:
  - qosClasses: [Guaranteed]
    tolerates: [{key: security, value: sgx}]`
	neverBestEffort := `  requires:
  - when: {qosClasses: [BestEffort]}
    runtimeClasses: ["*"]`
	tolerating := func(tolerations ...corev1.Toleration) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.Tolerations = tolerations }
	}
	runtimeClass := func(name string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.RuntimeClassName = &name }
	}
	burstable := corev1.ResourceRequirements{Requests: list("cpu", "1")}
	cases := []struct {
		name     string
		requires string
		pod      *corev1.Pod
		unmet    string
	}{
		{"Guaranteed and tolerating", sgx, app("own", withResources(guaranteed()), tolerating(corev1.Toleration{Key: "security", Value: "sgx"})), ""},
		{"tolerating one effect of it", sgx, app("own", withResources(guaranteed()), tolerating(corev1.Toleration{Key: "security", Operator: "Equal", Value: "sgx", Effect: "NoSchedule"})), ""},
		{"tolerating the key", sgx, app("own", withResources(guaranteed()), tolerating(corev1.Toleration{Key: "security", Operator: "Exists"})), ""},
		{"tolerating everything", sgx, app("own", withResources(guaranteed()), tolerating(corev1.Toleration{Operator: "Exists"})), ""},
		{"tolerating another value", sgx, app("own", withResources(guaranteed()), tolerating(corev1.Toleration{Key: "security", Value: "tdx"})), "does not tolerate security=sgx"},
		{"tolerating another key", sgx, app("own", withResources(guaranteed()), tolerating(corev1.Toleration{Key: "gpu", Operator: "Exists"})), "does not tolerate security=sgx"},
		{"tolerating nothing", sgx, app("own", withResources(guaranteed())), "does not tolerate security=sgx"},
		{"Burstable", sgx, app("own", withResources(burstable), tolerating(corev1.Toleration{Key: "security", Value: "sgx"})), "the pod is Burstable, it has to be Guaranteed"},
		{"BestEffort without RuntimeClass", neverBestEffort, app("own"), `RuntimeClass is "", it has to be`},
		{"BestEffort with RuntimeClass", neverBestEffort, app("own", runtimeClass("gvisor")), ""},
		{"Burstable without RuntimeClass", neverBestEffort, app("own", withResources(burstable)), ""},
		{"wrong RuntimeClass", "  requires: [{runtimeClasses: [kata, gvisor]}]", app("own", runtimeClass("runc")), `RuntimeClass is "runc", it has to be kata or gvisor`},
		{"no RuntimeClass allowed", `  requires: [{runtimeClasses: [""]}]`, app("own", runtimeClass("runc")), "it has to be none"},
		{"host network required", "  hostNetwork: true\n  requires: [{hostNetwork: true}]", app("own"), "hostNetwork is false"},
		{"Pod Security required", "  requires: [{podSecurity: [restricted]}]", app("own"), "Pod Security level is privileged"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := worldOf(cluster(), nil)
			w.profiles = loadProfile(t, ownProfile(c.requires))
			got, d := w.inject(t, c.pod)
			checkExplained(t, d)
			if d.Inject != (c.unmet == "") || len(ours(got)) == 1 != d.Inject {
				t.Fatalf("inject %t: %s", d.Inject, d.Reason)
			}
			if c.unmet != "" && (d.Code != "requirement" || !strings.Contains(d.Reason, c.unmet)) {
				t.Fatalf("got %s: %q, want …%s…", d.Code, d.Reason, c.unmet)
			}
		})
	}
}

func TestPlacementFollowsTheClusterAndTheProfile(t *testing.T) {
	native, ordinary := "  placement: native", "  placement: container"
	cases := []struct {
		name      string
		placement string
		sidecars  bool // of the cluster
		restart   corev1.RestartPolicy
		want      profile.Placement // empty: not injected
	}{
		{"native", native, true, "", profile.Native},
		{"native in a job", native, true, corev1.RestartPolicyNever, profile.Native},
		{"native in an old cluster", native, false, corev1.RestartPolicyAlways, profile.Ordinary},
		{"native in an old cluster's job", native, false, corev1.RestartPolicyOnFailure, ""},
		{"container", ordinary, true, corev1.RestartPolicyAlways, profile.Ordinary},
		{"container in a pod not defaulted yet", ordinary, true, "", profile.Ordinary},
		{"container in a job", ordinary, true, corev1.RestartPolicyNever, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := worldOf(cluster(), nil)
			w.cluster.NativeSidecars = c.sidecars
			w.profiles = loadProfile(t, ownProfile(c.placement))
			pod := app("own", func(p *corev1.Pod) {
				p.Spec.RestartPolicy = c.restart
				p.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "registry.example/first:1"}}
			})
			got, d := w.inject(t, pod)
			checkExplained(t, d)
			inits, containers := len(got.Spec.InitContainers), len(got.Spec.Containers)
			switch c.want {
			case profile.Native:
				if inits != 2 || containers != 1 || got.Spec.InitContainers[1].RestartPolicy == nil {
					t.Fatalf("want it last among the init containers, restarting: %+v", got.Spec)
				}
			case profile.Ordinary:
				if inits != 1 || containers != 2 || got.Spec.Containers[1].RestartPolicy != nil {
					t.Fatalf("want it last among the containers: %+v", got.Spec)
				}
			default:
				if d.Inject || !strings.Contains(d.Reason, "would keep it running") {
					t.Fatalf("inject %t: %s", d.Inject, d.Reason)
				}
			}
		})
	}
}

func TestHostNetworkPodsDeclareNoPort(t *testing.T) {
	w := worldOf(cluster(), nil)
	w.profiles = loadProfile(t, ownProfile("  hostNetwork: true"))
	got, d := w.inject(t, app("own", func(p *corev1.Pod) { p.Spec.HostNetwork = true }))
	if !d.Inject || len(ours(got)[0].Ports) != 0 {
		t.Fatalf("inject %t (%s), ports %v: a declared port would be reserved on the node", d.Inject, d.Reason, ours(got)[0].Ports)
	}
}
