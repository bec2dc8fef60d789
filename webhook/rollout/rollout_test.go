package rollout

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
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
		if got := read(&m); got != s {
			t.Fatalf("got %+v, want %+v", got, s)
		}
	})
}

func TestWhatCannotBeReadIsNoCanary(t *testing.T) {
	for _, data := range []map[string]string{nil, {key: ""}, {key: "{"}, {key: `{"phase": 7}`}, {"other": "{}"}} {
		f := &Follower{}
		s := read(&corev1.ConfigMap{Data: data})
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
