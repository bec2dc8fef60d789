package inject_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkExplained fails if the decision does not say how it came about.
func checkExplained(t tb, d *inject.Decision) {
	t.Helper()
	if d.Reason == "" || d.Code == "" || len(d.Steps) == 0 {
		t.Fatalf("the decision explains nothing: %+v", d)
	}
	if last := d.Steps[len(d.Steps)-1]; last.Detail != d.Reason || last.OK != d.Inject {
		t.Fatalf("the steps end with %+v, want the reason %q", last, d.Reason)
	}
	for _, s := range d.Steps {
		if s.Check == "" || s.Detail == "" {
			t.Fatalf("a step says nothing: %+v", d.Steps)
		}
	}
}

func TestPodLabelWinsOverNamespaceLabel(t *testing.T) {
	absent := "-"
	cases := []struct {
		pod, namespace string
		profile, code  string
	}{
		{absent, absent, "", "not-wanted"},
		{absent, "", "", "not-wanted"},
		{absent, "disabled", "", "disabled"},
		{absent, "video-probe", "video-probe", "injected"},
		{"disabled", absent, "", "disabled"},
		{"disabled", "disabled", "", "disabled"},
		{"disabled", "video-probe", "", "disabled"},
		{"", absent, "", "not-wanted"},
		{"", "disabled", "", "not-wanted"},
		{"", "video-probe", "", "not-wanted"},
		{"debug", absent, "debug", "injected"},
		{"debug", "disabled", "debug", "injected"},
		{"debug", "video-probe", "debug", "injected"},
		{"nosuch", "video-probe", "nosuch", "unknown-profile"},
		{absent, "nosuch", "nosuch", "unknown-profile"},
	}
	for _, c := range cases {
		t.Run("pod "+c.pod+" namespace "+c.namespace, func(t *testing.T) {
			pod := app("")
			if c.pod != absent {
				pod.Labels = map[string]string{inject.Label: c.pod}
			}
			var labels map[string]string
			if c.namespace != absent {
				labels = map[string]string{inject.Label: c.namespace}
			}
			got, d := worldOf(cluster(), labels).inject(t, pod)
			checkExplained(t, d)
			if d.Code != c.code || d.Profile != c.profile || d.Inject != (c.code == "injected") {
				t.Fatalf("got %s of profile %q (%s), want %s of %q", d.Code, d.Profile, d.Reason, c.code, c.profile)
			}
			if n := len(ours(got)); (n == 1) != d.Inject {
				t.Fatalf("the pod has %d containers of ours, the decision says %t", n, d.Inject)
			}
		})
	}
}

func TestSomePodsAreLeftAlone(t *testing.T) {
	cases := []struct {
		name   string
		pod    *corev1.Pod
		ns     string
		code   string
		reason string
	}{
		{"kube-system", app("debug"), "kube-system", "excluded", "kube-system"},
		{"own namespace", app("debug"), "debugsidecar", "excluded", "webhook's own"},
		{"mirror pod", app("debug", func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: ""}
		}), "media", "excluded", "mirror pod"},
		{"Windows by os", app("debug", func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }), "media", "excluded", "Windows"},
		{"Windows by node selector", app("debug", func(p *corev1.Pod) {
			p.Spec.NodeSelector = map[string]string{"kubernetes.io/os": "windows"}
		}), "media", "excluded", "Windows"},
		{"host network", app("debug", func(p *corev1.Pod) { p.Spec.HostNetwork = true }), "media", "requirement", "host's network"},
		{"bad parameters", app("debug", withParams("logLevel: loud")), "media", "bad-parameters", "logLevel"},
		{"unknown parameter", app("debug", withParams("loglevel: info")), "media", "bad-parameters", "there are: logLevel, resources"},
		{"parameters are no object", app("debug", withParams("rtsp://user:secret@camera/")), "media", "bad-parameters", "not a YAML object"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := worldOf(cluster(), nil)
			w.namespace.Name = c.ns
			got, d := w.inject(t, c.pod)
			checkExplained(t, d)
			if d.Inject || d.Code != c.code || !strings.Contains(d.Reason, c.reason) {
				t.Fatalf("got inject %t, %s: %q; want %s: …%s…", d.Inject, d.Code, d.Reason, c.code, c.reason)
			}
			if len(ours(got)) != 0 || len(got.Spec.Volumes) != 0 {
				t.Fatalf("the pod was changed: %+v", got.Spec)
			}
			switch {
			case c.ns == "kube-system", c.ns == "debugsidecar", c.name == "mirror pod":
				if len(d.Patch()) != 0 {
					t.Fatalf("nothing may be changed, got %v", d.Patch())
				}
			case !strings.Contains(got.Annotations[inject.StatusAnnotation], `"skipped":`) || len(d.Warnings) == 0:
				t.Fatalf("neither the status %q nor the warnings %q say why", got.Annotations[inject.StatusAnnotation], d.Warnings)
			}
		})
	}
}

func TestAReasonNeverRepeatsAValue(t *testing.T) {
	for _, params := range []string{
		"rtsp://user:secret@camera/", "source: rtsp://user:secret@camera/", "source: [rtsp://user:secret@camera/]",
		"sourceSecretRef: secret", "open: secret", "sourceSecretRef: {name: 'secret/', key: k}", "sourceSecretRef: {name: n, key: 'secret/'}", "buffer: secret", "a: b: secret",
		"{source: secret", "rtpPorts: [secret]", "resources: {requests: {cpu: secret}}", "- secret", "*secret", "!!float secret",
	} {
		got, d := worldOf(cluster(), nil).inject(t, app("video-probe", withParams(params)))
		all := d.Reason + strings.Join(d.Warnings, "") + got.Annotations[inject.StatusAnnotation]
		if strings.Contains(all, "secret/") || strings.Contains(strings.ReplaceAll(all, "sourceSecretRef", ""), "secret") {
			t.Errorf("parameters %q: the decision repeats them: %s", params, d.Reason)
		}
		if d.Inject {
			t.Errorf("parameters %q were taken", params)
		}
	}
}

func TestALongReasonIsCut(t *testing.T) {
	var params strings.Builder
	for i := range 2000 {
		params.WriteString(strings.Repeat("k", 1+i/100) + string(rune('a'+i%26)) + ": é\n")
	}
	got, d := worldOf(cluster(), nil).inject(t, app("debug", withParams(params.String())))
	checkExplained(t, d)
	if n := len(got.Annotations[inject.StatusAnnotation]); n > 2048 {
		t.Errorf("the status has %d bytes", n)
	}
	for _, w := range d.Warnings {
		if len(w) > 256 {
			t.Errorf("a warning has %d bytes", len(w))
		}
	}
}

func TestStatusIsLeftOutWhereItWouldNotFit(t *testing.T) {
	pod := app("debug", func(p *corev1.Pod) {
		p.Annotations = map[string]string{"notes": strings.Repeat("x", 256<<10-20)}
	})
	got, d := worldOf(cluster(), nil).inject(t, pod)
	if !d.Inject || got.Annotations[inject.StatusAnnotation] != "" {
		t.Fatalf("inject %t, status %q", d.Inject, got.Annotations[inject.StatusAnnotation])
	}
}

func TestReservedNamesAreRefused(t *testing.T) {
	w := worldOf(cluster(), nil)
	for _, list := range []string{"containers", "initContainers"} {
		pod := app("debug", func(p *corev1.Pod) {
			foreign := corev1.Container{Name: "debugsidecar-mine", Image: "registry.example/app:1"}
			if list == "containers" {
				p.Spec.Containers = append(p.Spec.Containers, foreign)
			} else {
				p.Spec.InitContainers = append(p.Spec.InitContainers, foreign)
			}
		})
		d := w.decide(t, encode(t, pod))
		checkExplained(t, d)
		if !strings.Contains(d.Refused, `container debugsidecar-mine`) || !strings.Contains(d.Refused, "rename") || len(d.Patch()) != 0 {
			t.Errorf("%s: refused %q with patch %v", list, d.Refused, d.Patch())
		}
		w.namespace.Name = "kube-system"
		if d := w.decide(t, encode(t, pod)); d.Refused != "" {
			t.Errorf("kube-system is to be left alone, but the pod is refused: %s", d.Refused)
		}
		w.namespace.Name = "media"
	}
}

func TestDisabledTakesTheSidecarAway(t *testing.T) {
	w := worldOf(granted(), nil)
	pod := app("")
	before := encode(t, pod)
	pod.Labels = map[string]string{inject.Label: "full"}
	injected, d := w.inject(t, pod)
	if !d.Inject {
		t.Fatal(d.Reason)
	}
	injected.Labels = nil
	after, d := w.mutate(t, encode(t, injected))
	if string(after) != string(before) {
		t.Errorf("got  %s\nwant %s", after, before)
	}
	if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "took the sidecar away") {
		t.Errorf("warnings %q", d.Warnings)
	}
}

func TestVolumeThatTheOwnerMountsStays(t *testing.T) {
	mounts := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "debugsidecar-debug-tmp"}, {Name: "debugsidecar-debug-run"}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "debugsidecar-debug-tmp", MountPath: "/tmp"}}
	}
	got, d := worldOf(cluster(), nil).inject(t, app("disabled", mounts))
	if len(got.Spec.Volumes) != 1 || got.Spec.Volumes[0].Name != "debugsidecar-debug-tmp" {
		t.Errorf("got volumes %v; the one that is mounted has to stay, the other to go", got.Spec.Volumes)
	}
	checkExplained(t, d)
}

func TestPodThatCannotBeReadIsLeftAlone(t *testing.T) {
	w := worldOf(cluster(), nil)
	injected, _ := w.inject(t, app("debug"))
	f := w.facts(t, encode(t, injected))
	f.Full = func() (*corev1.Pod, error) { return nil, errors.New("cut off") }
	d := inject.Decide(f)
	checkExplained(t, d)
	if d.Code != "unreadable" || d.Inject || len(d.Patch()) != 0 || len(d.Warnings) != 1 || inject.Identify(f) != nil {
		t.Errorf("got %+v", d)
	}
}

func TestAVolumeOfThePodsOwnerIsNeverTakenFromItsContainers(t *testing.T) {
	for name, mounted := range map[string]bool{"mounted by the owner": true, "a remnant": false} {
		t.Run(name, func(t *testing.T) {
			pod := app("debug", func(pod *corev1.Pod) {
				if mounted {
					pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "debugsidecar-debug-tmp", MountPath: "/data"}}
				}
				pod.Spec.Volumes = []corev1.Volume{{Name: "debugsidecar-debug-tmp", VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "recordings"},
				}}}
			})
			out, d := worldOf(cluster(), nil).inject(t, pod)
			if d.Inject == mounted {
				t.Fatalf("inject is %v: %s", d.Inject, d.Reason)
			}
			if !mounted {
				return
			}
			if !strings.Contains(d.Reason, "rename it") || out.Spec.Volumes[0].PersistentVolumeClaim == nil {
				t.Errorf("reason %q, volumes %+v", d.Reason, out.Spec.Volumes)
			}
		})
	}
}

func TestDecideCanBeCalledAtTheSameTime(t *testing.T) {
	w := worldOf(granted(), nil)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 50 {
				pod := app("video-probe", withParams("buffer: "+strconv.Itoa(1+(i+j)%7)))
				if _, d := w.inject(t, pod); !d.Inject {
					t.Error(d.Reason)
				}
			}
		})
	}
	group.Wait()
}
