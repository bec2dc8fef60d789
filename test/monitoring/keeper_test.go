package monitoring

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/debugsidecar/debugsidecar/webhook/session"
	"github.com/debugsidecar/debugsidecar/webhook/session/keeper"
)

var controllers = regexp.MustCompile(`controller="([^"]*)"`)

// A controller that was renamed would leave its alert silent for ever.
func TestRulesNameControllersThatExist(t *testing.T) {
	source, err := os.ReadFile("../../webhook/session/keeper/add.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, r := range alerts(t, everything) {
		for _, m := range controllers.FindAllStringSubmatch(r.Expr.String(), -1) {
			found++
			if !strings.Contains(string(source), `controller.New("`+m[1]+`"`) {
				t.Errorf("%s: the keeper of debug sessions is no controller %q", r.Alert, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no rule names a controller")
	}
}

var errRefused = errors.New("refused")

// refusing is an API server with one pod that refuses one kind of write.
type refusing struct {
	client.Client
	pod     *corev1.Pod
	refuses string
}

func (r refusing) answer(write string) error {
	if write == r.refuses {
		return errRefused
	}
	return nil
}

func (r refusing) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	r.pod.DeepCopyInto(o.(*corev1.Pod))
	return nil
}

func (r refusing) Create(context.Context, client.Object, ...client.CreateOption) error {
	return r.answer("event")
}

func (r refusing) Delete(context.Context, client.Object, ...client.DeleteOption) error {
	return r.answer("delete")
}

func (r refusing) Status() client.SubResourceWriter { return status{refusing: r} }

type status struct {
	client.SubResourceWriter
	refusing refusing
}

func (s status) Patch(context.Context, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
	return s.refusing.answer("condition")
}

// DebugsidecarSessionsNotKept counts errors of reconciles, so each write that
// fails has to be one.
func TestAWriteOfTheKeeperThatFailsIsAnErrorOfItsReconcile(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	// A copy whose time was up ten minutes ago: there is all to do that there can be.
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "cameras", Name: "ingest-copy", UID: "uid-1", CreationTimestamp: metav1.NewTime(now.Add(-20 * time.Minute)),
			Labels: map[string]string{session.CopyOfLabel: "uid-0"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "debugger-abcde", Env: []corev1.EnvVar{
			{Name: session.UserVar, Value: "anna"},
			{Name: session.SinceVar, Value: now.Add(-20 * time.Minute).Format(time.RFC3339)},
			{Name: session.UntilVar, Value: now.Add(-10 * time.Minute).Format(time.RFC3339)},
		}}}},
	}
	for _, write := range []string{"none", "event", "condition", "delete"} {
		k := keeper.Keeper{
			API:    refusing{pod: pod, refuses: write},
			MaxTTL: func() time.Duration { return time.Hour },
			Now:    func() time.Time { return now },
			Log:    slog.New(slog.DiscardHandler),
		}
		_, err := k.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)})
		if errors.Is(err, errRefused) != (write != "none") {
			t.Errorf("refused: %s; the reconcile returns %v", write, err)
		}
	}
}
