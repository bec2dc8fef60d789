package shape

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

const uid1000, gid2000 = int64(1000), int64(2000)

// options are a user's who names nothing but a pod.
func options() Options {
	return Options{Name: "debugger-abcde", Target: "app", Image: "debugsidecar/debug:1", TTL: time.Hour, Stdin: true, TTY: true}
}

// podOf makes a running pod of one container, app.
func podOf(change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "camera-0", Namespace: "media", UID: "5d0f"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "app", ContainerID: "containerd://ab12", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}}},
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func secure(sc corev1.SecurityContext) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext = &sc }
}

func runsAs(uid, gid int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].User = &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: uid, GID: gid, SupplementalGroups: []int64{gid}}}
	}
}

func labelled(labels ...string) Namespace {
	ns := Namespace{Known: true, Labels: map[string]string{}}
	for i := 0; i < len(labels); i += 2 {
		ns.Labels[labels[i]] = labels[i+1]
	}
	return ns
}

const enforce = "pod-security.kubernetes.io/enforce"

func plan(t *testing.T, pod *corev1.Pod, ns Namespace, o Options) *Plan {
	t.Helper()
	p, err := Of(t.Context(), pod, ns, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func profilesOf(p *Plan) (candidates, refused []Profile) {
	for _, c := range p.Candidates {
		candidates = append(candidates, c.Profile)
	}
	for _, r := range p.Refused {
		refused = append(refused, r.Profile)
	}
	return candidates, refused
}

func TestTheHighestProfileThatTheNamespacePermitsComesFirst(t *testing.T) {
	hardened := secure(corev1.SecurityContext{
		RunAsUser: new(uid1000), RunAsGroup: new(gid2000), RunAsNonRoot: new(true), AllowPrivilegeEscalation: new(false),
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	})
	all := []Profile{General, Restricted} // for a user who is not root, baseline is restricted
	for _, c := range []struct {
		name                string
		ns                  Namespace
		profile             Profile
		candidates, refused []Profile
	}{
		{"labels can't be read", Namespace{Labels: map[string]string{enforce: "restricted"}}, "", all, nil},
		{"no labels", labelled(), "", all, nil},
		{"privileged", labelled(enforce, "privileged"), "", all, nil},
		{"baseline", labelled(enforce, "baseline"), "", all[1:], all[:1]},
		{"restricted", labelled(enforce, "restricted"), "", all[1:], all[:1]},
		{"a word that is none", labelled(enforce, "strict"), "", all[1:], all[:1]},
		{"ours, baseline", labelled("policy.debugsidecar.io/enforce", "baseline"), "", all[1:], all[:1]},
		{"ours warns only", labelled("policy.debugsidecar.io/warn", "restricted"), "", all, nil},
		{"sysadmin by name", labelled(), SysAdmin, []Profile{SysAdmin}, nil},
		{"netadmin by name", labelled(enforce, "baseline"), NetAdmin, nil, []Profile{NetAdmin}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			o.Profile = c.profile
			candidates, refused := profilesOf(plan(t, podOf(hardened), c.ns, o))
			if diff := cmp.Diff(c.candidates, candidates); diff != "" {
				t.Error("candidates", diff)
			}
			if diff := cmp.Diff(c.refused, refused); diff != "" {
				t.Error("refused", diff)
			}
		})
	}
}

func TestNoProfileAboveTheHighestIsTakenUnnamed(t *testing.T) {
	for highest, want := range map[Profile][]Profile{
		"": {General, Baseline, Restricted}, General: {General, Baseline, Restricted}, Baseline: {Baseline, Restricted}, Restricted: {Restricted},
	} {
		o := options()
		o.Highest = highest
		var got []Profile
		for _, c := range plan(t, podOf(), labelled(), o).Candidates {
			got = append(got, c.Profile)
		}
		if !slices.Equal(got, want) {
			t.Errorf("up to %q: %v, want %v", highest, got, want)
		}
	}
	o := options()
	o.Highest, o.Profile = Restricted, NetAdmin
	if p := plan(t, podOf(), labelled(), o); len(p.Candidates) != 1 || p.Candidates[0].Profile != NetAdmin {
		t.Errorf("one that was named: %+v", p.Candidates)
	}
}

func TestTheRecordIsInTheEnvironment(t *testing.T) {
	o := options()
	o.Reason, o.Ticket = "frames are lost", "OPS-1"
	pod := podOf()
	for _, c := range plan(t, pod, labelled(), o).Candidates {
		pod := pod.DeepCopy()
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, c.Container)
		got := session.Of(pod, time.Time{})
		want := []session.Session{{
			Container: "debugger-abcde", State: session.Pending, TTL: time.Hour, Reason: "frames are lost", Ticket: "OPS-1",
			Image: "debugsidecar/debug:1", Target: "app", TargetID: "containerd://ab12",
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestArgumentsArriveAsTheyWereTyped(t *testing.T) {
	for _, c := range []struct {
		foreign       bool
		run           []string
		command, args []string
	}{
		{false, nil, nil, []string{"debug"}},
		{true, nil, nil, nil},
		{false, []string{"ls", "-l"}, nil, []string{"debug", "--", "ls", "-l"}},
		{true, []string{"sh", "-c", "echo $$ $(date) $HOME"}, []string{"sh", "-c", "echo $$$$ $$(date) $$HOME"}, nil},
		{true, []string{`C:\Users\app`, "50$"}, []string{`C:\Users\app`, "50$"}, nil},
	} {
		command, args := Command(c.foreign, c.run)
		if diff := cmp.Diff([][]string{c.command, c.args}, [][]string{command, args}); diff != "" {
			t.Errorf("%v: %s", c.run, diff)
		}
	}
}

func TestMistakesAndPodsThatCanHaveNone(t *testing.T) {
	for _, c := range []struct {
		name   string
		pod    *corev1.Pod
		change func(*Options)
		want   string
	}{
		{"profile", podOf(), func(o *Options) { o.Profile = "root" }, "there is no profile"},
		{"image", podOf(), func(o *Options) { o.Image = " a" }, "no name of an image"},
		{"reserved name", podOf(), func(o *Options) { o.Name = "debugsidecar-debug" }, "begins with debugger-"},
		{"name taken", podOf(func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "debugger-abcde"}} }), nil, "already"},
		{"reason", podOf(), func(o *Options) { o.Reason = "a\x1b[2J" }, "printable"},
		{"ticket", podOf(), func(o *Options) { o.Ticket = strings.Repeat("x", 257) }, "256 bytes"},
		{"TTL", podOf(), func(o *Options) { o.TTL = -1 }, "can't last"},
		{"terminal", podOf(), func(o *Options) { o.Stdin = false }, "standard input"},
		{"container", podOf(), func(o *Options) { o.Target = "web" }, `no container "web"; it has app`},
		{"hostPID", podOf(func(p *corev1.Pod) { p.Spec.HostPID = true }), nil, "hostPID"},
		{"static", podOf(func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }), nil, "static"},
		{"windows", podOf(func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }), nil, "--image"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			if c.change != nil {
				c.change(&o)
			}
			_, err := Of(t.Context(), c.pod, labelled(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
