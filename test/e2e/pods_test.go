package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	injectLabel  = "debugsidecar.io/inject"
	enforceLabel = "policy.debugsidecar.io/enforce"
	sidecar      = "debugsidecar-video-probe"
)

// warnings gathers what the API server warns about.
type warnings struct {
	mu   sync.Mutex
	text []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

// take returns all warnings since the last call.
func (w *warnings) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := strings.Join(w.text, "\n")
	w.text = nil
	return all
}

// ingest is a pod as users write it, Burstable.
func ingest(name string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name:  "ingest",
			Image: "registry.example/ingest:2.4",
			Ports: []corev1.ContainerPort{{Name: "rtp", ContainerPort: 5004, Protocol: corev1.ProtocolUDP}},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
			},
		}}},
	}
}

func labelled(name string) *corev1.Pod {
	return ingest(name, map[string]string{injectLabel: "video-probe"})
}

func create(t *testing.T, ns string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	env.warnings.take()
	out, err := env.client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating pod %s: %v", pod.Name, err)
	}
	return out
}

func dryRun(ctx context.Context, ns string, pod *corev1.Pod) (*corev1.Pod, error) {
	return env.client.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// sidecars counts our containers in a pod.
func sidecars(pod *corev1.Pod) int {
	n := 0
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			if strings.HasPrefix(c.Name, "debugsidecar-") {
				n++
			}
		}
	}
	return n
}

func mustHaveSidecar(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if n := sidecars(pod); n != 1 {
		t.Fatalf("the pod has %d sidecars, want one; status %s", n, pod.Annotations["debugsidecar.io/status"])
	}
}

func mustNotHaveSidecar(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if n := sidecars(pod); n != 0 {
		t.Fatalf("the pod has %d sidecars, want none", n)
	}
}

func mustMention(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not mentioned in: %s", part, text)
		}
	}
}

// restored is the pod as a backup would bring it back.
func restored(pod *corev1.Pod, name string) *corev1.Pod {
	out := pod.DeepCopy()
	out.ObjectMeta = metav1.ObjectMeta{Name: name, Labels: pod.Labels, Annotations: pod.Annotations}
	out.Status = corev1.PodStatus{}
	return out
}
