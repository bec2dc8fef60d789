package sessions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	controller "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/debugsidecar/debugsidecar/webhook/session"
	"github.com/debugsidecar/debugsidecar/webhook/session/keeper"
)

// faulty fails the n-th request: before it is sent, or after it was answered, so
// that what it did is done and nobody knows.
type faulty struct {
	next       http.RoundTripper
	fails      int
	afterwards bool
	count      int
}

var errFault = errors.New("a fault")

func (f *faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	f.count++
	if f.count != f.fails {
		return f.next.RoundTrip(r)
	}
	if f.afterwards {
		if resp, err := f.next.RoundTrip(r); err == nil {
			resp.Body.Close()
		}
	}
	return nil, errFault
}

// newKeeper is a keeper as after a start: it remembers nothing.
func newKeeper(t *testing.T, api controller.Client, ahead *time.Duration) *keeper.Keeper {
	t.Helper()
	return &keeper.Keeper{
		API: api, Instance: "test", MaxTTL: func() time.Duration { return 2 * time.Hour },
		Now: func() time.Time { return time.Now().Add(*ahead) }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// step is one turn of a session's life: what happens, and what users see then.
type step struct {
	name string
	do   func(t *testing.T, pod *corev1.Pod, ahead *time.Duration)
	want seen
}

// seen is what users see of a session.
type seen struct {
	gone   bool
	status corev1.ConditionStatus
	reason string
	events map[string]int // about the pod, and about its owner
}

var (
	began = map[string]int{"DebugSessionBegan": 1}
	both  = map[string]int{"DebugSessionBegan": 1, "DebugSessionEnded": 1}
)

func lifeOfAnEphemeralContainer() []step {
	return []step{
		{"stamped", func(*testing.T, *corev1.Pod, *time.Duration) {}, seen{status: "True", reason: "Pending", events: began}},
		{"can't start", func(t *testing.T, pod *corev1.Pod, _ *time.Duration) {
			report(t, pod, "debugger-abcde", corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}})
		}, seen{status: "True", reason: "Failed", events: began}},
		{"runs", func(t *testing.T, pod *corev1.Pod, _ *time.Duration) {
			report(t, pod, "debugger-abcde", isRunning(time.Now()))
		}, seen{status: "True", reason: "Running", events: began}},
		{"its time is up", func(_ *testing.T, _ *corev1.Pod, ahead *time.Duration) {
			*ahead = 31 * time.Minute
		}, seen{status: "True", reason: "Terminating", events: began}},
		{"ended", func(t *testing.T, pod *corev1.Pod, _ *time.Duration) {
			report(t, pod, "debugger-abcde", hasEnded(time.Now()))
		}, seen{status: "False", reason: "Done", events: both}},
	}
}

func lifeOfACopy() []step {
	return []step{
		{"created", func(*testing.T, *corev1.Pod, *time.Duration) {}, seen{status: "True", reason: "Pending", events: began}},
		{"runs", func(t *testing.T, pod *corev1.Pod, _ *time.Duration) {
			report(t, pod, "debugger-abcde", isRunning(time.Now()))
		}, seen{status: "True", reason: "Running", events: began}},
	}
}

func thenItEnds(t *testing.T, pod *corev1.Pod, _ *time.Duration) {
	report(t, pod, "debugger-abcde", hasEnded(time.Now().Add(-time.Minute)))
}

func thenItsTimeIsUp(_ *testing.T, _ *corev1.Pod, ahead *time.Duration) { *ahead = 31 * time.Minute }

// TestEachRequestMayFail lives sessions again and again, and each time another of
// the keeper's requests fails, with which it is killed; until there is none left to
// fail. Whatever fails, what users see becomes right, once each.
func TestEachRequestMayFail(t *testing.T) {
	// Or its own keeper would make right what the one here leaves.
	webhookDown(t)
	for life, c := range map[string]struct {
		steps  []step
		isCopy bool
	}{
		"an ephemeral container":  {lifeOfAnEphemeralContainer(), false},
		"a copy that ends":        {append(lifeOfACopy(), step{"ended", thenItEnds, seen{gone: true, events: both}}), true},
		"a copy that is not left": {append(lifeOfACopy(), step{"its time is up", thenItsTimeIsUp, seen{gone: true, events: began}}), true},
	} {
		for _, afterwards := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, afterwards %v", life, afterwards), func(t *testing.T) {
				ns := namespace(t)
				for n := 1; ; n++ {
					f := &faulty{fails: n, afterwards: afterwards}
					live(t, ns, fmt.Sprintf("camera-%d", n), c.isCopy, c.steps, f)
					if t.Failed() {
						t.Fatalf("with request %d failing", n)
					}
					if f.count < n {
						t.Logf("%d requests, each failed once", n-1)
						if n < 5 {
							t.Error("hardly any request: the test shows nothing")
						}
						return
					}
				}
			})
		}
	}
}

// live takes a session through its life beside a keeper, which is a new one after
// each fault.
func live(t *testing.T, ns, name string, isCopy bool, steps []step, f *faulty) {
	t.Helper()
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	owner, err := env.admin.CoreV1().ConfigMaps(ns).Create(t.Context(), owner, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bystander := create(t, env.admin, newPod(ns, name+"-bystander"))
	since := time.Now().UTC().Truncate(time.Second)
	record := vars(session.TTLVar, "30m", session.UserVar, "anna", session.SinceVar, since.Format(time.RFC3339), session.UntilVar, since.Add(30*time.Minute).Format(time.RFC3339))
	pod := newPod(ns, name)
	if isCopy {
		pod = newCopy(ns, name, record...)
	}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, Controller: new(true)}}
	pod = create(t, as(t, "anna"), pod)
	if !isCopy {
		if pod, err = debug(t.Context(), as(t, "anna"), pod, debugger("debugger-abcde", record...)); err != nil {
			t.Fatal(err)
		}
	}
	config := rest.CopyConfig(ofWebhook(t))
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { f.next = next; return f })
	api, err := controller.New(config, controller.Options{Mapper: mapper(t)})
	if err != nil {
		t.Fatal(err)
	}
	ahead := time.Duration(0)
	k := newKeeper(t, api, &ahead)
	for _, s := range steps {
		s.do(t, pod, &ahead)
		for tries := 0; ; tries++ {
			_, err := k.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: ns, Name: name}})
			if err == nil {
				break
			}
			if !errors.Is(err, errFault) || tries > 3 {
				t.Fatalf("%s: %v", s.name, err)
			}
			k = newKeeper(t, api, &ahead)
		}
		check(t, s, pod, owner.UID)
	}
	if after := read(t, bystander); after.ResourceVersion != bystander.ResourceVersion {
		t.Error("another pod was changed")
	}
}

func check(t *testing.T, s step, pod *corev1.Pod, owner types.UID) {
	t.Helper()
	now, err := env.admin.CoreV1().Pods(pod.Namespace).Get(context.Background(), pod.Name, metav1.GetOptions{})
	switch {
	case s.want.gone && !apierrors.IsNotFound(err):
		t.Errorf("%s: the pod is still there (%v)", s.name, err)
	case s.want.gone:
	case err != nil:
		t.Errorf("%s: %v", s.name, err)
	default:
		if c := conditionOf(now); c.Status != s.want.status || c.Reason != s.want.reason {
			t.Errorf("%s: the condition is %+v, want %s %s", s.name, c, s.want.status, s.want.reason)
		}
	}
	for what, about := range map[string]types.UID{"the pod": pod.UID, "its owner": owner} {
		if got := told(t, pod.Namespace, about); !maps.Equal(got, s.want.events) {
			t.Errorf("%s: Events about %s: %v, want %v", s.name, what, got, s.want.events)
		}
	}
}
