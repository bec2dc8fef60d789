package copy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

func options() Options {
	return Options{
		Options:   shape.Options{Name: "debugger-abcde", Target: "app", Image: "debugsidecar/debug:1", TTL: time.Hour, Stdin: true, TTY: true},
		HoldImage: "debugsidecar/debug:1",
	}
}

func podOf(change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-6f-x2x", Namespace: "media", UID: "5d0f", Labels: map[string]string{"app": "web", "team": "video", "pod-template-hash": "6f"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-6f", UID: "1234", Controller: new(true), BlockOwnerDeletion: new(true)}},
		},
		Spec: corev1.PodSpec{
			NodeName:   "node-1",
			Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1", Command: []string{"/app"}}, {Name: "log", Image: "registry.example/log:1"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func first(t *testing.T, pod *corev1.Pod, n Neighbours, o Options) Candidate {
	t.Helper()
	p, err := Of(t.Context(), pod, n, shape.Namespace{Known: true}, o)
	if err != nil {
		t.Fatal(err)
	}
	return p.Candidates[0]
}

func planOf(t *testing.T, pod *corev1.Pod, n Neighbours) *Plan {
	t.Helper()
	p, err := Of(t.Context(), pod, n, shape.Namespace{Known: true}, options())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func selecting(pairs ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func service(name string, notReady bool, pairs ...string) corev1.Service {
	return corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Selector: selecting(pairs...), PublishNotReadyAddresses: notReady}}
}

func controller(kind string, pairs ...string) Controller {
	return Controller{Kind: kind, Name: "x", Selector: &metav1.LabelSelector{MatchLabels: selecting(pairs...)}}
}

func networkPolicy(pairs ...string) networkingv1.NetworkPolicy {
	return networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "isolated"}, Spec: networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: selecting(pairs...)}}}
}

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		name string
		n    Neighbours
		want []string // of app and team
	}{
		{"nobody selects", Neighbours{}, []string{"app", "team"}},
		{"a Service", Neighbours{Services: []corev1.Service{service("web", false, "app", "web")}}, []string{"team"}},
		{"a Service of others", Neighbours{Services: []corev1.Service{service("db", false, "app", "db")}}, []string{"app", "team"}},
		{"a Service without selector", Neighbours{Services: []corev1.Service{service("web", false)}}, []string{"app", "team"}},
		{"a NetworkPolicy needs one of two", Neighbours{
			Services:        []corev1.Service{service("web", false, "app", "web", "team", "video")},
			NetworkPolicies: []networkingv1.NetworkPolicy{networkPolicy("app", "web")},
		}, []string{"app"}},
		{"both, and the gate is enough", Neighbours{
			Services:        []corev1.Service{service("web", false, "app", "web")},
			NetworkPolicies: []networkingv1.NetworkPolicy{networkPolicy("app", "web")},
		}, []string{"app", "team"}},
		{"both, and the gate is not enough", Neighbours{
			Services:        []corev1.Service{service("web", true, "app", "web")},
			NetworkPolicies: []networkingv1.NetworkPolicy{networkPolicy("app", "web")},
		}, []string{"team"}},
		{"a ReplicaSet goes by its hash", Neighbours{
			Controllers:     []Controller{controller("ReplicaSet", "app", "web", "pod-template-hash", "6f")},
			NetworkPolicies: []networkingv1.NetworkPolicy{networkPolicy("app", "web")},
		}, []string{"app", "team"}},
		{"a DaemonSet would adopt it", Neighbours{
			Controllers:     []Controller{controller("DaemonSet", "app", "web")},
			NetworkPolicies: []networkingv1.NetworkPolicy{networkPolicy("app", "web")},
		}, []string{"team"}},
		{"a StatefulSet would not", Neighbours{
			Controllers:     []Controller{controller("StatefulSet", "app", "web")},
			NetworkPolicies: []networkingv1.NetworkPolicy{networkPolicy("app", "web")},
		}, []string{"app", "team"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := first(t, podOf(), c.n, options()).Pod.Labels
			want := map[string]string{"debugsidecar.io/inject": "disabled", "debugsidecar.io/copy-of": "5d0f"}
			for _, key := range c.want {
				want[key] = podOf().Labels[key]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestACopyIsASession(t *testing.T) {
	c := first(t, podOf(), Neighbours{}, options())
	want := []session.Session{{
		Container: "debugger-abcde", IsCopy: true, State: session.Pending, TTL: time.Hour, Until: time.Time{}.Add(time.Hour),
		Image: "debugsidecar/debug:1", Target: "app",
	}}
	if diff := cmp.Diff(want, session.Of(c.Pod, time.Time{})); diff != "" {
		t.Error(diff)
	}
}

func TestTheTargetIsKeptAliveWithoutItsProgram(t *testing.T) {
	pod := podOf(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "prepare"}, {Name: "debugsidecar-debug"}, {Name: "migrate", Command: []string{"/migrate"}}, {Name: "late"}}
	})
	names := func(c Candidate) (inits []string) {
		for _, x := range c.Pod.Spec.InitContainers {
			inits = append(inits, x.Name)
		}
		return inits
	}
	o := options()
	for _, c := range []struct {
		target  string
		runInit bool
		want    []string
	}{
		{"app", false, []string{"debugger-hold", "app"}},
		{"app", true, []string{"debugger-hold", "prepare", "migrate", "late", "app"}},
		{"migrate", false, []string{"debugger-hold", "migrate"}},
		{"migrate", true, []string{"debugger-hold", "prepare", "migrate"}},
	} {
		o.Target, o.RunInit = c.target, c.runInit
		got := first(t, pod, Neighbours{}, o)
		if diff := cmp.Diff(c.want, names(got)); diff != "" {
			t.Errorf("%s: %s", c.target, diff)
		}
		target := got.Pod.Spec.InitContainers[len(c.want)-1]
		if target.RestartPolicy == nil || *target.RestartPolicy != corev1.ContainerRestartPolicyAlways || !cmp.Equal(target.Command, []string{HoldPath, "debug"}) {
			t.Errorf("%s: %+v", c.target, target)
		}
	}
}

func TestWhoseEndIsTheCopys(t *testing.T) {
	if got := first(t, podOf(), Neighbours{}, options()).Pod.OwnerReferences; !cmp.Equal(got, []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-6f", UID: "1234"}}) {
		t.Errorf("a ReplicaSet's: %+v", got)
	}
	bare := podOf(func(p *corev1.Pod) { p.OwnerReferences = nil })
	if got := first(t, bare, Neighbours{}, options()).Pod.OwnerReferences; !cmp.Equal(got, []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "web-6f-x2x", UID: "5d0f"}}) {
		t.Errorf("nobody's: %+v", got)
	}
	bare.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	if got := first(t, bare, Neighbours{}, options()).Pod.OwnerReferences; got != nil {
		t.Errorf("nobody's, and being deleted: %+v", got)
	}
}

func TestNames(t *testing.T) {
	long := "a-name-that-is-longer-than-a-hostname-may-be-and-goes-on-and-on"
	for original, want := range map[string]string{
		"web":             "web-debugger-abcde",
		long:              "a-name-that-is-longer-than-a-hostname-may-be-and-debugger-abcde",
		long[:46] + "-.x": "a-name-that-is-longer-than-a-hostname-may-be-a-debugger-abcde",
	} {
		if got := Name(original, "debugger-abcde"); got != want {
			t.Errorf("%s: %s, want %s", original, got, want)
		}
	}
}

func TestUnknownNeighboursTakeNothing(t *testing.T) {
	n := Neighbours{NetworkPolicies: []networkingv1.NetworkPolicy{networkPolicy("app", "web")}, Unknown: Unknown{Services: true, Controllers: true}}
	got := first(t, podOf(), n, options()).Pod.Labels
	if _, has := got["team"]; has || got["app"] != "web" {
		t.Errorf("of a ReplicaSet: %v", got)
	}
	daemon := podOf(func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" })
	if got := first(t, daemon, n, options()).Pod.Labels; len(got) != 2 {
		t.Errorf("of a DaemonSet: %v", got)
	}
}

func TestPodsWithoutACopy(t *testing.T) {
	for want, pod := range map[string]*corev1.Pod{
		"for Windows":   podOf(func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }),
		"API server":    podOf(func(p *corev1.Pod) { p.UID = "" }),
		"a copy itself": podOf(func(p *corev1.Pod) { p.Labels["debugsidecar.io/copy-of"] = "x" }),
		"is a copy":     podOf(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "debugger-hold"}} }),
		"no container":  podOf(func(p *corev1.Pod) { p.Spec.Containers[0].Name = "web" }),
	} {
		if _, err := Of(t.Context(), pod, Neighbours{}, shape.Namespace{}, options()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	// What selects pods by what they have not can't be escaped.
	absent := Controller{Kind: "DaemonSet", Name: "x", Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "gpu", Operator: metav1.LabelSelectorOpDoesNotExist}}}}
	if _, err := Of(t.Context(), podOf(), Neighbours{Controllers: []Controller{absent}}, shape.Namespace{}, options()); err == nil {
		t.Error("a copy that a DaemonSet adopts")
	}
}

func TestWhatIsAtThePlaceOfTheHold(t *testing.T) {
	pod := podOf(func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/.debugger/"}}
	})
	got := first(t, pod, Neighbours{}, options())
	if mounts := got.Pod.Spec.InitContainers[1].VolumeMounts; len(mounts) != 1 || mounts[0].Name != "debugger-hold" || len(got.Pod.Spec.Volumes) != 1 {
		t.Errorf("mounts %+v, volumes %+v", mounts, got.Pod.Spec.Volumes)
	}
}

func TestTheDeadline(t *testing.T) {
	o := options()
	for ttl, want := range map[time.Duration]int64{time.Hour: 3600, time.Millisecond: 1, 1500 * time.Millisecond: 2, 100 * 366 * 24 * time.Hour: 1<<31 - 1} {
		o.TTL = ttl
		if got := first(t, podOf(), Neighbours{}, o).Pod.Spec.ActiveDeadlineSeconds; got == nil || *got != want {
			t.Errorf("%s: %v, want %d", ttl, got, want)
		}
	}
	o.TTL = 0
	if got := first(t, podOf(), Neighbours{}, o).Pod.Spec.ActiveDeadlineSeconds; got != nil {
		t.Errorf("no end: %d", *got)
	}
}
