package inject_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

func TestIdentifyKnowsWhatWasInjected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, pod := genWorld.Draw(t, "world"), genPod.Draw(t, "pod")
		setDefaults(pod)
		after, d := checkMutation(t, w, pod)
		mutated := decode(t, after)
		setDefaults(mutated)
		admitted(t, mutated)
		// Once the pod is there, a quota may be full, of that very pod.
		quota(list("requests.cpu", "0", "limits.memory", "0"), nil)(&w)
		for name, id := range inject.Identify(w.facts(t, encode(t, mutated))) {
			if id.Ours != d.Inject {
				t.Fatalf("%s: ours %t (%s), but injected %t (%s)", name, id.Ours, id.Why, d.Inject, d.Reason)
			}
			if (len(id.Capabilities) > 0) != (d.Tier == "kernel") {
				t.Fatalf("%s has capabilities %v in tier %s", name, id.Capabilities, d.Tier)
			}
		}
		if !d.Inject {
			return
		}
		if stolen := mutated.DeepCopy(); withHostPath(stolen) {
			for name, id := range inject.Identify(w.facts(t, encode(t, stolen))) {
				if id.Ours || len(id.Capabilities) > 0 {
					t.Fatalf("%s with another volume counts as ours", name)
				}
			}
		}
		for _, change := range []func(*corev1.Container){
			func(c *corev1.Container) { c.Image = "registry.example/evil:1" },
			func(c *corev1.Container) { c.Command = []string{"sh"} },
			func(c *corev1.Container) { c.Args = append(c.Args, "--shell") },
			func(c *corev1.Container) { yes := true; c.SecurityContext.Privileged = &yes },
			func(c *corev1.Container) {
				c.SecurityContext.Capabilities.Add = append(c.SecurityContext.Capabilities.Add, "SYS_ADMIN")
			},
			func(c *corev1.Container) { c.Env = append(c.Env, corev1.EnvVar{Name: "LD_PRELOAD", Value: "/evil.so"}) },
			func(c *corev1.Container) {
				c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/data"})
			},
		} {
			forged := mutated.DeepCopy()
			for _, list := range [][]corev1.Container{forged.Spec.InitContainers, forged.Spec.Containers} {
				for i := range list {
					if strings.HasPrefix(list[i].Name, profile.NamePrefix) {
						change(&list[i])
					}
				}
			}
			for name, id := range inject.Identify(w.facts(t, encode(t, forged))) {
				if id.Ours || len(id.Capabilities) > 0 {
					t.Fatalf("the forged %s counts as ours", name)
				}
			}
		}
	})
}

// withHostPath puts the host behind a volume that the sidecar mounts.
func withHostPath(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		for _, m := range ours(pod)[0].VolumeMounts {
			if v := &pod.Spec.Volumes[i]; v.Name == m.Name && strings.HasPrefix(v.Name, profile.NamePrefix) {
				v.VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}
				return true
			}
		}
	}
	return false
}
