package sessions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// RBAC lets the webhook's service account delete any pod and write any status; a
// policy of ours limits that to copies, and to one condition.
func TestWhatTheWebhookMayDoWithPods(t *testing.T) {
	ns := namespace(t)
	pod := create(t, env.admin, newPod(ns, "camera"))
	copied := create(t, env.admin, newCopy(ns, "camera-copy", vars(session.TTLVar, "1h")...))
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "example.com/Other", Status: corev1.ConditionTrue})
	if _, err := env.admin.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	own := client(t, ofWebhook(t)).CoreV1().Pods(ns)
	condition := func(kind string) string {
		return fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":"True","lastTransitionTime":%q}]}}`, kind, time.Now().UTC().Format(time.RFC3339))
	}
	patch := func(kind types.PatchType, text string) error {
		_, err := own.Patch(t.Context(), pod.Name, kind, []byte(text), metav1.PatchOptions{}, "status")
		return err
	}
	for name, err := range map[string]error{
		"an ordinary pod":    own.Delete(t.Context(), pod.Name, metav1.DeleteOptions{}),
		"another condition":  patch(types.StrategicMergePatchType, condition("Ready")),
		"no other condition": patch(types.MergePatchType, condition(string(session.DebugActive))), // replaces the list
		"the phase":          patch(types.StrategicMergePatchType, `{"status":{"phase":"Failed"}}`),
		"a container":        patch(types.StrategicMergePatchType, `{"status":{"containerStatuses":[{"name":"app","image":"i","imageID":"i","ready":true,"state":{"running":{}}}]}}`),
		"an address":         patch(types.StrategicMergePatchType, `{"status":{"podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}]}}`),
		"a label":            patch(types.StrategicMergePatchType, `{"metadata":{"labels":{"app":"other"}}}`),
		"an annotation":      patch(types.StrategicMergePatchType, `{"metadata":{"annotations":{"a":"b"}}}`),
		"a finalizer":        patch(types.StrategicMergePatchType, `{"metadata":{"finalizers":["example.com/x"]}}`),
		"with the condition": patch(types.StrategicMergePatchType, strings.Replace(condition(string(session.DebugActive)), `"status":{"cond`, `"status":{"phase":"Failed","cond`, 1)),
	} {
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "the webhook ") {
			t.Errorf("%s: %v, want a denial by the policy", name, err)
		}
	}
	if err := patch(types.StrategicMergePatchType, condition(string(session.DebugActive))); err != nil {
		t.Errorf("its condition: %v", err)
	}
	if c := conditionOf(read(t, pod)); c.Status != corev1.ConditionTrue {
		t.Errorf("its condition is %+v", c)
	}
	if err := own.Delete(t.Context(), copied.Name, metav1.DeleteOptions{}); err != nil {
		t.Errorf("a copy: %v", err)
	}
	// Nobody else is concerned.
	if _, err := env.admin.CoreV1().Pods(ns).Patch(t.Context(), pod.Name, types.StrategicMergePatchType, []byte(`{"status":{"phase":"Failed"}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if err := env.admin.CoreV1().Pods(ns).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	// What there is no right for, no policy has to limit.
	for name, err := range map[string]error{
		"pods of a namespace": own.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}),
		"a pod":               func() error { _, err := own.Create(t.Context(), newPod(ns, "x"), metav1.CreateOptions{}); return err }(),
		"a status":            func() error { _, err := own.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); return err }(),
	} {
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "cannot") {
			t.Errorf("%s: %v, want a denial by RBAC", name, err)
		}
	}
}
