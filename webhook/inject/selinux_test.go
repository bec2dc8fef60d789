package inject_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/selinux"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// filling is a world whose namespace has a range that pods are to get.
func filling(w world, levels string) world {
	r, err := selinux.ParseRange(levels)
	if err != nil {
		panic(err)
	}
	w.seLinux = policies.SELinux{Confined: true, Range: &r, Source: "a test", Fill: true}
	return w
}

func withOptions(o corev1.SELinuxOptions) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{SELinuxOptions: &o} }
}

func withContainerOptions(o corev1.SELinuxOptions) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{SELinuxOptions: &o}
	}
}

func withVolume(source corev1.VolumeSource) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: source}} }
}

// levelsOf are the levels of the pod and of its owner's containers that have
// options of their own.
func levelsOf(pod *corev1.Pod) string {
	levels := []string{"-"}
	if c := pod.Spec.SecurityContext; c != nil && c.SELinuxOptions != nil {
		levels[0] = c.SELinuxOptions.Level
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if !strings.HasPrefix(c.Name, "debugsidecar-") && c.SecurityContext != nil && c.SecurityContext.SELinuxOptions != nil {
			levels = append(levels, c.Name+" "+c.SecurityContext.SELinuxOptions.Level)
		}
	}
	return strings.Join(levels, ", ")
}

func TestAPodThatNamesNoLevelGetsItsNamespaces(t *testing.T) {
	const filled = "s0:c5,c26"
	claim := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "recordings"}}
	for _, c := range []struct {
		name   string
		change func(*corev1.Pod)
		levels string
		why    string
	}{
		{"plain", func(*corev1.Pod) {}, filled, "the pod gets SELinux level s0:c5,c26, from a test"},
		{"empty security context", func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{} }, filled, "the pod gets"},
		{"a type alone", withOptions(corev1.SELinuxOptions{Type: "container_t"}), filled, "the pod gets"},
		{"a container's type alone", withContainerOptions(corev1.SELinuxOptions{Type: "container_t"}), filled + ", app " + filled, "the pod gets"},
		{"an init container's options", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "a", Image: "a"}, {Name: "b", Image: "b", SecurityContext: &corev1.SecurityContext{SELinuxOptions: &corev1.SELinuxOptions{}}}}
		}, filled + ", b " + filled, "the pod gets"},
		{"its own level", withOptions(corev1.SELinuxOptions{Level: "s0:c1"}), "s0:c1", "the pod names one"},
		{"a container's level", withContainerOptions(corev1.SELinuxOptions{Level: "s0:c1"}), "-, app s0:c1", "container app names one"},
		{"a claim", withVolume(claim), "-", `the pod mounts PersistentVolumeClaim "recordings"`},
		{"a volume of its own", withVolume(corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}), filled, "the pod gets"},
		{"a directory", withVolume(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}), filled, "the pod gets"},
		{"for Windows", func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }, "-", "for Windows nodes"},
	} {
		for _, profile := range []string{"", "debug", "video-probe", "disabled", "nosuch"} {
			t.Run(c.name+" "+profile, func(t *testing.T) {
				w := filling(worldOf(granted(), nil), filled)
				pod := app(profile, c.change)
				after, d := w.inject(t, pod)
				if got := levelsOf(after); got != c.levels {
					t.Errorf("the levels are %s, want %s", got, c.levels)
				}
				if detail := stepDetail(d.Steps, "selinux"); !strings.Contains(detail, c.why) {
					t.Errorf("the decision says %q, want %q", detail, c.why)
				}
				wrote := strings.HasPrefix(c.why, "the pod gets")
				if (d.Level == filled) != wrote || warned(d, "SELinux level s0:c5,c26") != wrote || warned(d, "PersistentVolumeClaim") != (c.name == "a claim") {
					t.Errorf("the level is %q, the warnings are %q", d.Level, d.Warnings)
				}
				checkUnchanged(t, w, encode(t, after))
				plain := w
				plain.seLinux = policies.SELinux{}
				if _, other := plain.inject(t, pod); other.Inject != d.Inject || other.Code != d.Code {
					t.Errorf("filling in changes the decision about a sidecar from %s to %s", other.Code, d.Code)
				}
				amended := inject.Amend(w.facts(t, encode(t, pod)))
				if got := levelsOf(decode(t, patched(t, encode(t, pod), amended))); got != c.levels {
					t.Errorf("without a sidecar in question the levels are %s, want %s", got, c.levels)
				}
			})
		}
	}
}

func warned(d *inject.Decision, text string) bool {
	return slices.ContainsFunc(d.Warnings, func(w string) bool { return strings.Contains(w, text) })
}

func TestNoLevelIsFilledInWhereNobodyAskedOrNoneIsKnown(t *testing.T) {
	shut := worldOf(cluster(), nil)
	shut.seLinux = policies.SELinux{Confined: true, Fill: true, Source: "the annotation is missing"}
	asked := filling(worldOf(cluster(), nil), "s0:c1")
	asked.seLinux.Fill = false
	system := filling(worldOf(cluster(), nil), "s0:c1")
	system.namespace.Name = "kube-system"
	for name, c := range map[string]struct {
		world world
		why   string
	}{
		"no range":      {shut, "no SELinux level to fill in: the annotation is missing"},
		"not opted in":  {asked, ""},
		"kube-system":   {system, ""},
		"no parameters": {worldOf(cluster(), nil), ""},
		"webhook's own": {func() world {
			w := filling(worldOf(cluster(), nil), "s0:c1")
			w.namespace.Name = "debugsidecar"
			return w
		}(), ""},
		"a mirror image": {filling(worldOf(cluster(), nil), "s0:c1"), ""},
	} {
		pod := app("")
		if name == "a mirror image" {
			pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		}
		after, d := c.world.inject(t, pod)
		if got := levelsOf(after); got != "-" || len(d.Patch()) != 0 || stepDetail(d.Steps, "selinux") != c.why {
			t.Errorf("%s: the levels are %s, the steps %+v", name, got, d.Steps)
		}
	}
}

// Whatever else happens to a pod, filling in adds a level and nothing more, once;
// and the pod passes the rules with it if it passed without.
func TestFillingInIsIdempotentAndAddsALevelAlone(t *testing.T) {
	evaluator, err := policies.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parameters, err := policies.ParseParameters([]byte(`namespaces: {media: {selinux: {range: "s0:c5,c26", fill: true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	evaluator.SetParameters(parameters)
	options := rapid.SampledFrom([]*corev1.SELinuxOptions{nil, nil, nil, {}, {Type: "container_t"}, {User: "system_u"}, {Level: "s0:c5,c26"}, {Level: "s0:c1"}})
	filled := 0
	rapid.Check(t, func(t *rapid.T) {
		w, pod := genWorld.Draw(t, "world"), genPod.Draw(t, "pod")
		w.namespace.Name = "media"
		if o := options.Draw(t, "pod options"); o != nil {
			pod.Spec.SecurityContext = &corev1.PodSecurityContext{SELinuxOptions: o.DeepCopy()}
		}
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				if o := options.Draw(t, "options"); o != nil && !strings.HasPrefix(list[i].Name, "debugsidecar-") {
					list[i].SecurityContext = &corev1.SecurityContext{SELinuxOptions: o.DeepCopy()}
				}
			}
		}
		without, before := w.mutate(t, encode(t, pod))
		w.seLinux = parameters.SELinux("media", nil)
		with, d := w.mutate(t, encode(t, pod))
		checkUnchanged(t, w, with)
		if d.Inject != before.Inject || d.Code != before.Code || d.Reason != before.Reason {
			t.Fatalf("filling in changes the decision from %q to %q", before.Reason, d.Reason)
		}
		if d.Level != "" {
			filled++
		}
		if was, is := string(encode(t, withoutLevel(decode(t, without), d.Level))), string(encode(t, withoutLevel(decode(t, with), d.Level))); was != is {
			t.Fatalf("more than a level was added:\n%s\n%s", was, is)
		}
		denied := func(pod []byte) bool {
			f := w.facts(t, pod)
			result, err := evaluator.Evaluate(t.Context(), policies.Request{
				Namespace: "media", Modes: policies.Modes{Enforce: policies.Baseline}, Pod: f.Pod, Reserved: inject.Identify(f),
			})
			if err != nil {
				t.Fatalf("%v", err)
			}
			return result.Denied()
		}
		if !denied(without) && denied(with) {
			t.Fatalf("the level makes the pod inadmissible: %s", with)
		}
	})
	if filled == 0 {
		t.Error("no pod was filled in: this shows nothing")
	}
}

// withoutLevel is the pod without what filling in may add.
func withoutLevel(pod *corev1.Pod, level string) *corev1.Pod {
	if level == "" {
		return pod
	}
	if c := pod.Spec.SecurityContext; c != nil && c.SELinuxOptions != nil {
		if c.SELinuxOptions.Level = ""; *c.SELinuxOptions == (corev1.SELinuxOptions{}) {
			c.SELinuxOptions = nil
		}
	}
	if c := pod.Spec.SecurityContext; c != nil && c.SELinuxOptions == nil {
		pod.Spec.SecurityContext = nil
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if c := list[i].SecurityContext; c != nil && c.SELinuxOptions != nil {
				c.SELinuxOptions.Level = ""
			}
		}
	}
	return pod
}

const typedProfile = `apiVersion: debugsidecar.io/v1alpha1
kind: Profile
metadata: {name: own}
spec:
  tiers: [kernel, user]
  seLinuxType: debugsidecar_kernel_t
  template: |
    containers:
    - name: debugsidecar-own
      image: {{ .images.debug }}
      securityContext:
        allowPrivilegeEscalation: false
        seccompProfile: {type: RuntimeDefault}
        {{ if eq .tier "kernel" }}
        runAsNonRoot: false
        runAsUser: 0
        capabilities: {drop: [ALL], add: [BPF]}
        {{ else }}
        runAsNonRoot: true
        runAsUser: 65532
        capabilities: {drop: [ALL]}
        {{ end }}
`

// The type is the administrator's, the level is the pod's: that is where the
// container has to be to see the pod's files.
func TestTheKernelTierHasItsProfilesTypeAndThePodsLevel(t *testing.T) {
	evaluator, err := policies.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := worldOf(granted(), nil)
	w.profiles = loadProfile(t, typedProfile)
	w.cluster.Grants[0].Profiles = []string{"own"}
	ungranted := w
	ungranted.cluster = cluster()
	for _, c := range []struct {
		name  string
		world world
		pod   *corev1.Pod
		want  *corev1.SELinuxOptions
	}{
		{"no level", w, app("own"), &corev1.SELinuxOptions{Type: "debugsidecar_kernel_t"}},
		{"the pod's level", w, app("own", withOptions(corev1.SELinuxOptions{Level: "s0:c7", Type: "container_t"})), &corev1.SELinuxOptions{Type: "debugsidecar_kernel_t", Level: "s0:c7"}},
		{"a level that is filled in", filling(w, "s0:c5,c26"), app("own"), &corev1.SELinuxOptions{Type: "debugsidecar_kernel_t", Level: "s0:c5,c26"}},
		{"user tier", ungranted, app("own"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			after, d := c.world.inject(t, c.pod)
			if !d.Inject {
				t.Fatal(d.Reason)
			}
			got := ours(after)[0].SecurityContext.SELinuxOptions
			if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
				t.Errorf("the options are %v, want %v", got, c.want)
			}
			checkUnchanged(t, c.world, encode(t, after))
			f := c.world.facts(t, encode(t, after))
			judge := func(reserved map[string]policies.Identity) bool {
				result, err := evaluator.Evaluate(t.Context(), policies.Request{
					Namespace: "media", Modes: policies.Modes{Enforce: policies.Baseline}, Pod: f.Pod, Reserved: reserved,
				})
				if err != nil {
					t.Fatal(err)
				}
				return result.Denied()
			}
			if judge(inject.Identify(f)) {
				t.Error("what was injected is denied")
			}
			if c.want != nil && !judge(map[string]policies.Identity{"debugsidecar-own": {Ours: true, Capabilities: []corev1.Capability{"BPF"}}}) {
				t.Error("the type passes without the grant")
			}
		})
	}
}
