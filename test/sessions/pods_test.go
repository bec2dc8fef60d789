package sessions

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

func vars(pairs ...string) []corev1.EnvVar {
	var out []corev1.EnvVar
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, corev1.EnvVar{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func newPod(ns, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"app": "camera"}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			Containers:                   []corev1.Container{{Name: "app", Image: "registry.example/app:1"}},
		},
	}
}

// newCopy is a copy of a pod as the plugin makes them.
func newCopy(ns, name string, env ...corev1.EnvVar) *corev1.Pod {
	pod := newPod(ns, name)
	pod.Labels[session.CopyOfLabel] = "0b5ff1fc-8dd3-4c29-b7a6-a3a7ecf8b6f1"
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "debugger-abcde", Image: "registry.example/debug:1", Env: env})
	return pod
}

func create(t *testing.T, c *kubernetes.Clientset, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	made, err := c.CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func debugger(name string, env ...corev1.EnvVar) corev1.EphemeralContainer {
	return corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name, Image: "registry.example/debug:1", Env: env},
		TargetContainerName:      "app",
	}
}

// debug adds ephemeral containers to a pod.
func debug(ctx context.Context, c *kubernetes.Clientset, pod *corev1.Pod, add ...corev1.EphemeralContainer) (updated *corev1.Pod, err error) {
	// The keeper may change the pod's condition in between.
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		now, err := c.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now.Spec.EphemeralContainers = append(now.Spec.EphemeralContainers, add...)
		updated, err = c.CoreV1().Pods(pod.Namespace).UpdateEphemeralContainers(ctx, pod.Name, now, metav1.UpdateOptions{})
		return err
	})
	return updated, err
}

// recorded makes pods until the webhook has seen one's session: on a busy machine
// the API server may not wait for it, and then goes on without.
func recorded(t *testing.T, try func(number int) *corev1.Pod) *corev1.Pod {
	t.Helper()
	for number := range 5 {
		if pod := try(number); only(t, pod).Recorded() {
			return pod
		}
	}
	t.Fatal("no session is recorded")
	return nil
}

var (
	isRunning = func(at time.Time) corev1.ContainerState {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at)}}
	}
	hasEnded = func(at time.Time) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: metav1.NewTime(at.Add(-time.Minute)), FinishedAt: metav1.NewTime(at)}}
	}
)

// report writes what a kubelet would of one container.
func report(t *testing.T, pod *corev1.Pod, container string, s corev1.ContainerState) {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the keeper writes, too
		now, err := env.admin.CoreV1().Pods(pod.Namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		status := []corev1.ContainerStatus{{Name: container, State: s, Image: "i", ImageID: "i"}}
		if now.Labels[session.CopyOfLabel] != "" {
			now.Status.ContainerStatuses = status
		} else {
			now.Status.EphemeralContainerStatuses = status
		}
		_, err = env.admin.CoreV1().Pods(pod.Namespace).UpdateStatus(t.Context(), now, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	now, err := env.admin.CoreV1().Pods(pod.Namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// only is the single session of a pod.
func only(t *testing.T, pod *corev1.Pod) session.Session {
	t.Helper()
	all := session.Of(pod, time.Now())
	if len(all) != 1 {
		t.Fatalf("pod %s has %d sessions: %+v", pod.Name, len(all), all)
	}
	return all[0]
}

func conditionOf(pod *corev1.Pod) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == session.DebugActive {
			return c
		}
	}
	return corev1.PodCondition{}
}

// told are the Events of debug sessions about an object, by their reason.
func told(t *testing.T, ns string, about types.UID) map[string]int {
	t.Helper()
	list, err := env.admin.EventsV1().Events(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, e := range list.Items {
		if e.Regarding.UID == about && e.ReportingController == "debugsidecar.io/sessions" {
			out[e.Reason]++
		}
	}
	return out
}
