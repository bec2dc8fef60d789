package inject_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

func BenchmarkDecide(b *testing.B) {
	four := func(p *corev1.Pod) {
		for _, name := range []string{"log", "proxy", "metrics"} {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name, Image: "registry.example/" + name})
		}
		p.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "config"}}
		p.Annotations = map[string]string{"note": "a pod as many are"}
	}
	w := worldOf(granted(), nil)
	limited := worldOf(granted(), nil)
	limitRange(corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: list("memory", "8Gi"), Default: list("memory", "1Gi")})(&limited)
	quota(list("requests.cpu", "100", "requests.memory", "100Gi"), list("requests.cpu", "10"))(&limited)
	burstable := withResources(corev1.ResourceRequirements{Requests: list("cpu", "1", "memory", "1Gi"), Limits: list("memory", "2Gi")})
	again, _ := w.inject(b, app("video-probe", four))
	for _, c := range []struct {
		name  string
		world world
		pod   *corev1.Pod
	}{
		{"inject", w, app("video-probe", four)},
		{"inject-with-parameters", w, app("video-probe", four, withParams("{logLevel: debug, buffer: 1.5, rtpPorts: [5004]}"))},
		{"inject-with-limits", limited, app("video-probe", four, burstable)},
		{"inject-again", w, again},
		{"not-wanted", w, app("", four)},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := c.world.facts(b, encode(b, c.pod))
			f.Full = func() (*corev1.Pod, error) { return c.pod, nil } // its decode is not the decision's
			b.ReportAllocs()
			for b.Loop() {
				if d := inject.Decide(f); d.Refused != "" {
					b.Fatal(d.Refused)
				}
			}
		})
	}
}
