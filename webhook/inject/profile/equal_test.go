package profile

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestSidecarIsRecognisedAfterWhatTheAPIServerChanges(t *testing.T) {
	set, err := LoadSet("", testSettings)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := set.Get("video-probe")
	params, err := p.Params("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Render(Input{Variant: Variant{User, Native}, Params: params, Port: 9400})
	if err != nil {
		t.Fatal(err)
	}
	token := corev1.VolumeMount{Name: "kube-api-access-x1y2z", ReadOnly: true, MountPath: serviceAccountPath}
	cases := []struct {
		name   string
		change func(*corev1.Container)
		same   bool
	}{
		{"nothing", func(*corev1.Container) {}, true},
		{"token", func(c *corev1.Container) { c.VolumeMounts = append(c.VolumeMounts, token) }, true},
		{"pull policy Always", func(c *corev1.Container) { c.ImagePullPolicy = corev1.PullAlways }, true},
		{"digest of the same repository", func(c *corev1.Container) { c.Image = "registry.example/sidecar@sha256:0" }, true},
		{"tag and digest", func(c *corev1.Container) { c.Image = "registry.example/sidecar:1@sha256:0" }, true},
		{"further resources", func(c *corev1.Container) {
			c.Resources.Requests["ephemeral-storage"] = resource.MustParse("1Gi")
			c.Resources.Limits["cpu"] = resource.MustParse("1")
		}, true},
		{"quantity written otherwise", func(c *corev1.Container) { c.Resources.Requests["cpu"] = resource.MustParse("0.05") }, true},

		{"pull policy Never", func(c *corev1.Container) { c.ImagePullPolicy = corev1.PullNever }, false},
		{"another tag", func(c *corev1.Container) { c.Image = "registry.example/sidecar:2" }, false},
		{"no tag", func(c *corev1.Container) { c.Image = "registry.example/sidecar" }, false},
		{"another repository's digest", func(c *corev1.Container) { c.Image = "registry.example/other@sha256:0" }, false},
		{"another registry's digest", func(c *corev1.Container) { c.Image = "registry.example:443/sidecar@sha256:0" }, false},
		{"writable token", func(c *corev1.Container) {
			m := token
			m.ReadOnly = false
			c.VolumeMounts = append(c.VolumeMounts, m)
		}, false},
		{"something else at the token's path", func(c *corev1.Container) {
			m := token
			m.Name = "data"
			c.VolumeMounts = append(c.VolumeMounts, m)
		}, false},
		{"a part of something at the token's path", func(c *corev1.Container) {
			m := token
			m.SubPath = "evil"
			c.VolumeMounts = append(c.VolumeMounts, m)
		}, false},
		{"a device", func(c *corev1.Container) {
			c.Resources.Requests["example.com/gpu"], c.Resources.Limits["example.com/gpu"] = resource.MustParse("1"), resource.MustParse("1")
		}, false},
		{"other resources", func(c *corev1.Container) { c.Resources.Requests["cpu"] = resource.MustParse("1") }, false},
		{"resources taken away", func(c *corev1.Container) { c.Resources = corev1.ResourceRequirements{} }, false},
		{"claims", func(c *corev1.Container) { c.Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}} }, false},
		{"another command", func(c *corev1.Container) { c.Command = []string{"sh"} }, false},
		{"another variable", func(c *corev1.Container) { c.Env[0].Value = "kernel" }, false},
		{"not restarting", func(c *corev1.Container) { c.RestartPolicy = nil }, false},
		{"probe", func(c *corev1.Container) { c.StartupProbe = &corev1.Probe{} }, false},
		{"stdin", func(c *corev1.Container) { c.Stdin = true }, false},
		{"no security context", func(c *corev1.Container) { c.SecurityContext = nil }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := s.Container.DeepCopy()
			c.change(got)
			if s.Equals(got) != c.same {
				t.Errorf("recognised: %t, want %t", !c.same, c.same)
			}
		})
	}
}

func TestPullPolicyFollowsTheTag(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"a": "Always", "a:latest": "Always", "registry.example:5000/a": "Always", "a:latest@sha256:0": "Always",
		"a:1": "IfNotPresent", "a@sha256:0": "IfNotPresent", "registry.example:5000/a:1": "IfNotPresent", "a:1@sha256:0": "IfNotPresent",
	} {
		if got := pullPolicy(image); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}
