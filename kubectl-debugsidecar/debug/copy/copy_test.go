package copy

import (
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
