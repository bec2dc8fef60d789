package sessions

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

func start(t *testing.T) {
	t.Helper()
	if _, err := env.installation.StartReplica(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// becomes waits until users see a session as it is.
func becomes(t *testing.T, pod *corev1.Pod, status corev1.ConditionStatus, reason string, events map[string]int) {
	t.Helper()
	eventually(t, "pod "+pod.Name+" becomes "+reason, func() error {
		if c := conditionOf(read(t, pod)); c.Status != status || c.Reason != reason {
			return fmt.Errorf("the condition is %+v", c)
		}
		if got := told(t, pod.Namespace, pod.UID); !maps.Equal(got, events) {
			return fmt.Errorf("the Events are %v", got)
		}
		return nil
	})
}

// debugged makes a pod with an ephemeral container.
func debugged(t *testing.T, c *kubernetes.Clientset, ns, name string, record ...corev1.EnvVar) *corev1.Pod {
	t.Helper()
	pod, err := debug(t.Context(), c, create(t, env.admin, newPod(ns, name)), debugger("debugger-abcde", record...))
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func goes(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	eventually(t, "pod "+pod.Name+" goes", func() error {
		_, err := env.admin.CoreV1().Pods(pod.Namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %v", err)
	})
}

// The real webhook, as a process with the rights that the chart gives it, is killed
// with SIGKILL between the turns of a session's life, and some of them happen while
// it is away.
func TestTheWebhookIsKilledAtEachTurn(t *testing.T) {
	webhookUp(t)
	ns := namespace(t)
	anna := as(t, "anna")
	left := create(t, anna, newCopy(ns, "left", vars(session.TTLVar, "20s")...))
	pod := recorded(t, func(n int) *corev1.Pod {
		return debugged(t, anna, ns, fmt.Sprintf("camera-%d", n), vars(session.TTLVar, "20s")...)
	})
	webhookDown(t) // after the stamp, whatever else is done by then
	start(t)
	becomes(t, pod, "True", "Pending", began)
	webhookDown(t) // after the condition
	report(t, pod, "debugger-abcde", isRunning(time.Now()))
	start(t)
	becomes(t, pod, "True", "Running", began)
	webhookDown(t)
	until := only(t, read(t, pod)).Until
	time.Sleep(time.Until(until.Add(500 * time.Millisecond))) // its time is up while nobody looks
	start(t)
	becomes(t, pod, "True", "Terminating", began)
	goes(t, left)
	report(t, pod, "debugger-abcde", hasEnded(time.Now()))
	webhookDown(t) // at the end, or just after it
	start(t)
	becomes(t, pod, "False", "Done", both)

	// And in the middle of work, at no chosen moment.
	for i := range 6 {
		copied := newCopy(ns, fmt.Sprintf("copy-%d", i), vars(session.TTLVar, "1h")...)
		copied = create(t, anna, copied)
		report(t, copied, "debugger-abcde", hasEnded(time.Now().Add(-time.Hour)))
		time.Sleep(time.Duration(i) * 7 * time.Millisecond)
		webhookDown(t)
		start(t)
		goes(t, copied)
	}
	if _, err := env.admin.CoreV1().Pods(ns).Get(context.Background(), pod.Name, metav1.GetOptions{}); err != nil {
		t.Errorf("the pod that was debugged: %v", err)
	}
}

// A session ends with its pod, and is told although nobody can see it in the pod
// any more.
func TestAPodThatGoesEndsItsSessions(t *testing.T) {
	webhookUp(t)
	ns := namespace(t)
	pod := create(t, env.admin, newPod(ns, "camera"))
	if _, err := debug(t.Context(), as(t, "anna"), pod, debugger("debugger-abcde", vars(session.TTLVar, "1h")...)); err != nil {
		t.Fatal(err)
	}
	becomes(t, pod, "True", "Pending", began)
	if err := env.admin.CoreV1().Pods(ns).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end is told", func() error {
		if got := told(t, ns, pod.UID); !maps.Equal(got, both) {
			return fmt.Errorf("the Events are %v", got)
		}
		return nil
	})
	n, err := env.installation.Running()[0].Metric(`debugsidecar_webhook_sessions{state="Pending"}`)
	if err != nil || n != 0 {
		t.Errorf("%v sessions are counted still (%v)", n, err)
	}
}

// A TTL ends while the webhook runs: it wakes up for that by itself.
func TestATTLEndsByItself(t *testing.T) {
	webhookUp(t)
	ns := namespace(t)
	anna := as(t, "anna")
	copied := create(t, anna, newCopy(ns, "copy", vars(session.TTLVar, "3s")...))
	pod := recorded(t, func(n int) *corev1.Pod {
		return debugged(t, anna, ns, fmt.Sprintf("camera-%d", n), vars(session.TTLVar, "3s")...)
	})
	report(t, pod, "debugger-abcde", isRunning(time.Now()))
	becomes(t, pod, "True", "Terminating", began)
	goes(t, copied)
}
