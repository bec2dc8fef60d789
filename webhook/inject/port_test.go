package inject_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestSidecarTakesTheNextFreePort(t *testing.T) {
	all := make([]int32, 0, 65535)
	for p := range int32(65535) {
		all = append(all, p+1)
	}
	cases := []struct {
		name string
		used []int32
		want int32 // 0: not injected
	}{
		{"free", nil, 9400},
		{"another port is used", []int32{8080}, 9400},
		{"taken: 9401 is the sidecar's own", []int32{9400}, 9402},
		{"several taken", []int32{9400, 9402, 9403}, 9404},
		{"all above taken", all[9399:], 1024},
		{"all taken", all, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pod := app("video-probe", func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{{Name: "first"}}
				for i, port := range c.used {
					to := &p.Spec.Containers[0]
					if i%2 == 1 {
						to = &p.Spec.InitContainers[0]
					}
					to.Ports = append(to.Ports, corev1.ContainerPort{ContainerPort: port})
				}
			})
			got, d := worldOf(cluster(), nil).inject(t, pod)
			checkExplained(t, d)
			if c.want == 0 {
				if d.Inject || !strings.Contains(d.Reason, "every port") {
					t.Fatalf("inject %t: %s", d.Inject, d.Reason)
				}
				return
			}
			if port := ours(got)[0].Ports[0].ContainerPort; port != c.want {
				t.Fatalf("port %d, want %d", port, c.want)
			}
		})
	}
}
