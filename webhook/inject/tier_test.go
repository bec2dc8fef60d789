package inject_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

func TestKernelTierGivesWay(t *testing.T) {
	no, runc, gvisor, empty := false, "runc", "gvisor", ""
	enforce := func(level string) map[string]string {
		return map[string]string{"pod-security.kubernetes.io/enforce": level}
	}
	policy := func(level string) map[string]string {
		return map[string]string{"policy.debugsidecar.io/enforce": level}
	}
	cases := []struct {
		name    string
		cluster func() inject.Cluster
		change  func(*world)
		pod     *corev1.Pod
		why     string // empty: the kernel tier
	}{
		{"granted", granted, nil, app("video-probe"), ""},
		{"granted, labels privileged and off", granted, func(w *world) {
			w.namespace.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "privileged", "policy.debugsidecar.io/enforce": "off"}
		}, app("video-probe"), ""},
		{"policy baseline", granted, func(w *world) { w.namespace.Labels = policy("baseline") }, app("video-probe"), ""},
		{"RuntimeClass of the host's kernel", granted, nil, app("video-probe", func(p *corev1.Pod) { p.Spec.RuntimeClassName = &runc }), ""},
		{"empty RuntimeClass", granted, nil, app("video-probe", func(p *corev1.Pod) { p.Spec.RuntimeClassName = &empty }), ""},
		{"no grant at all", cluster, nil, app("video-probe"), "namespace media has no grant"},
		{"grant for another namespace", granted, func(w *world) { w.namespace.Name = "other" }, app("video-probe"), "namespace other has no grant"},
		{"grant for another profile", func() inject.Cluster {
			c := granted()
			c.Grants[0].Profiles = []string{"full"}
			return c
		}, nil, app("video-probe"), "no grant for profile video-probe"},
		{"namespace's name not known", func() inject.Cluster {
			c := granted()
			c.Grants[0].Namespace = ""
			return c
		}, func(w *world) { w.namespace.Name = "" }, app("video-probe"), "namespace is not known"},
		{"Pod Security baseline", granted, func(w *world) { w.namespace.Labels = enforce("baseline") }, app("video-probe"), "Pod Security level baseline"},
		{"Pod Security restricted", granted, func(w *world) { w.namespace.Labels = enforce("restricted") }, app("video-probe"), "Pod Security level restricted"},
		{"Pod Security misspelt", granted, func(w *world) { w.namespace.Labels = enforce("priviledged") }, app("video-probe"), "Pod Security level restricted"},
		{"Pod Security empty", granted, func(w *world) { w.namespace.Labels = enforce("") }, app("video-probe"), "Pod Security level restricted"},
		{"cluster's Pod Security default", granted, func(w *world) { w.cluster.PodSecurityDefault = "baseline" }, app("video-probe"), "Pod Security level baseline"},
		{"policy restricted", granted, func(w *world) { w.namespace.Labels = policy("restricted") }, app("video-probe"), "policy's level restricted"},
		{"policy misspelt", granted, func(w *world) { w.namespace.Labels = policy("of") }, app("video-probe"), "policy's level restricted"},
		{"policy's default", granted, func(w *world) { w.cluster.PolicyDefault = "restricted" }, app("video-probe"), "policy's level restricted"},
		{"other RuntimeClass", granted, nil, app("video-probe", func(p *corev1.Pod) { p.Spec.RuntimeClassName = &gvisor }), "RuntimeClass gvisor"},
		{"shared processes", granted, nil, app("video-probe", func(p *corev1.Pod) { yes := true; p.Spec.ShareProcessNamespace = &yes }), "shareProcessNamespace"},
		{"the node's processes", granted, nil, app("video-probe", func(p *corev1.Pod) { p.Spec.HostPID = true }), "hostPID"},
		{"a mount of the sidecar's volume, written beforehand", granted, nil, app("video-probe", func(p *corev1.Pod) {
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "debugsidecar-video-probe-run", MountPath: "/in"}}
		}), "another container mounts the sidecar's own volume"},
		{"user namespace", granted, nil, app("video-probe", func(p *corev1.Pod) { p.Spec.HostUsers = &no }), "hostUsers: false"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := worldOf(c.cluster(), nil)
			if c.change != nil {
				c.change(&w)
			}
			got, d := w.inject(t, c.pod)
			checkExplained(t, d)
			if !d.Inject {
				t.Fatal(d.Reason)
			}
			sc := ours(got)[0].SecurityContext
			if c.why == "" {
				if d.Tier != "kernel" || *sc.RunAsUser != 0 || len(sc.Capabilities.Add) != 3 {
					t.Fatalf("got tier %s with %+v; steps %v", d.Tier, sc, d.Steps)
				}
				return
			}
			if d.Tier != "user" || *sc.RunAsUser == 0 || len(sc.Capabilities.Add) != 0 {
				t.Fatalf("got tier %s with %+v, want user", d.Tier, sc)
			}
			if !strings.Contains(strings.Join(d.Warnings, "\n"), c.why) {
				t.Fatalf("warnings %q, want one with %q", d.Warnings, c.why)
			}
		})
	}
}

func TestUnknownNamespaceIsNeverAGuessUpwards(t *testing.T) {
	w := worldOf(granted(), nil)
	w.namespace.Unknown = true
	_, d := w.inject(t, app("video-probe"))
	checkExplained(t, d)
	if d.Inject || d.Tier == "kernel" || !strings.Contains(d.Reason, "could not be read") {
		t.Fatalf("inject %t, tier %q: %s", d.Inject, d.Tier, d.Reason)
	}
}
