package rollout

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/webhook/canary"
)

func TestStateComesBackAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := State{
			Canary: rapid.String().Draw(t, "canary"), Phase: RolledBack, Since: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "since"), 0).UTC(),
			Reason: "why", Pods: canary.Count{Pods: rapid.IntRange(0, 1000).Draw(t, "pods"), Failed: 1},
		}
		var m corev1.ConfigMap
		s.write(&m)
		if got, err := read(&m); got != s || err != nil {
			t.Fatalf("got %+v, %v, want %+v", got, err, s)
		}
	})
}

func TestWhatCannotBeReadIsNoCanary(t *testing.T) {
	for _, data := range []map[string]string{nil, {key: ""}, {key: "{"}, {key: `{"phase": 7}`}, {"other": "{}"}} {
		f := &Follower{}
		s, err := read(&corev1.ConfigMap{Data: data})
		if _, there := data[key]; there == (err == nil) {
			t.Errorf("%v: %v", data, err)
		}
		f.state.Store(&s)
		if f.Runs("a") {
			t.Errorf("%v: the canary runs", data)
		}
	}
	if (&Follower{}).Runs("a") {
		t.Error("without a state the canary runs")
	}
}

func TestACanaryRunsOnceItsStateIsWrittenAndStaysRolledBack(t *testing.T) {
	limits, now := canary.DefaultThresholds(), time.Unix(1000, 0)
	bad, well := canary.Count{Pods: 10, Failed: 5}, canary.Count{Pods: 10}
	s, changed := State{}.next("a", well, well, limits, now)
	if !changed || s.Phase != Running || s.Canary != "a" {
		t.Fatalf("a new one: %+v", s)
	}
	if same, changed := s.next("a", well, well, limits, now.Add(time.Hour)); changed || same != s {
		t.Errorf("nothing fails: %+v", same)
	}
	if same, changed := s.next("a", bad, bad, limits, now); changed {
		t.Errorf("both fail: %+v", same)
	}
	back, changed := s.next("a", bad, well, limits, now)
	if !changed || back.Phase != RolledBack || back.Reason == "" {
		t.Fatalf("it fails: %+v", back)
	}
	if same, changed := back.next("a", well, well, limits, now); changed || same != back {
		t.Errorf("a rolled back one: %+v", same)
	}
	if again, changed := back.next("b", bad, well, limits, now); !changed || again.Phase != Running || again.Reason != "" {
		t.Errorf("another one: %+v", again)
	}
}

func TestACanaryWaitsUntilAllReplicasCanKnowIt(t *testing.T) {
	f := &Follower{delay: time.Minute}
	for age, want := range map[time.Duration]bool{0: false, 30 * time.Second: false, 2 * time.Minute: true} {
		f.state.Store(&State{Canary: "a", Phase: Running, Since: time.Now().Add(-age)})
		if got := f.Runs("a"); got != want {
			t.Errorf("after %s: %v", age, got)
		}
	}
}

func TestOnlyPodsSinceTheCanaryBeganWhoseSidecarIsKnownAreCounted(t *testing.T) {
	since := time.Unix(1000, 500)
	n := &tally{
		stable: map[string]string{"p": "old", "same": "x"}, fresh: map[string]string{"p": "new", "same": "x"},
		thresholds: canary.DefaultThresholds(), since: since.Truncate(time.Second), now: since,
	}
	pod := func(profile, revision string, made int64, failed, told bool) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			CreationTimestamp: metav1.Unix(made, 0),
			Annotations:       map[string]string{"debugsidecar.io/status": `{"profile":"` + profile + `","revision":"` + revision + `"}`},
		}}
		if told {
			s := corev1.ContainerStatus{Name: "debugsidecar-" + profile, Ready: true}
			if failed {
				s.RestartCount = 9
			}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{s}
		}
		n.pod(p)
	}
	pod("p", "new", 1000, true, true)
	pod("p", "new", 1001, false, true)
	pod("p", "old", 1001, true, true)
	pod("p", "old", 999, true, true)    // before
	pod("p", "new", 1001, false, false) // not told of
	pod("p", "older", 1001, true, true)
	pod("same", "x", 1001, true, true)
	if n.pods != (canary.Count{Pods: 2, Failed: 1}) || n.others != (canary.Count{Pods: 1, Failed: 1}) {
		t.Errorf("got %+v and %+v", n.pods, n.others)
	}
}
