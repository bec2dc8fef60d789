package canary

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

func TestShareOfManyOwnersIsThePercentage(t *testing.T) {
	const owners = 20000
	for _, percent := range []int{0, 1, 10, 50, 99, 100} {
		n := 0
		for i := range owners {
			if Selected(fmt.Sprintf("owner-%d", i), percent) {
				n++
			}
		}
		want := owners * percent / 100
		// Four standard deviations of the widest share are 283.
		if n < want-283 || n > want+283 || percent == 0 && n != 0 || percent == 100 && n != owners {
			t.Errorf("%d %%: got %d of %d", percent, n, owners)
		}
	}
}

func TestOwnerThatIsInAShareIsInEachGreaterOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owner, a, b := rapid.String().Draw(t, "owner"), rapid.IntRange(0, 100).Draw(t, "a"), rapid.IntRange(0, 100).Draw(t, "b")
		if Selected(owner, min(a, b)) && !Selected(owner, max(a, b)) {
			t.Fatal("it left the share when that grew")
		}
	})
}

func TestShareIsTheSameInEachVersion(t *testing.T) {
	for owner, first := range map[string]int{
		"": 53, "2f1c7f0e-5b0a-4c39-9d8e-0c5b8a1d7e11": 26, "cameras/ingest-": 85,
	} {
		if Selected(owner, first-1) || !Selected(owner, first) {
			t.Errorf("%q is no longer in the share from %d %% on", owner, first)
		}
	}
}

func TestCanaryIsRolledBackOnlyIfItIsWorse(t *testing.T) {
	for _, c := range []struct {
		name           string
		canary, stable Count
		rolledBack     bool
	}{
		{"nothing there", Count{}, Count{}, false},
		{"all well", Count{10, 0}, Count{90, 0}, false},
		{"one has bad luck", Count{1, 1}, Count{90, 0}, false},
		{"all fail", Count{2, 2}, Count{90, 0}, true},
		{"all fail, and there is no stable pod", Count{2, 2}, Count{}, true},
		{"an outage that hits both", Count{10, 10}, Count{90, 90}, false},
		{"an outage that hits both a little differently", Count{10, 6}, Count{90, 45}, false},
		{"at the margin", Count{10, 2}, Count{90, 0}, false},
		{"beyond the margin", Count{10, 3}, Count{90, 0}, true},
		{"the stable one is worse", Count{10, 5}, Count{90, 80}, false},
	} {
		if why := Judge(c.canary, c.stable, DefaultThresholds()); (why != "") != c.rolledBack {
			t.Errorf("%s: got %q", c.name, why)
		}
	}
}

func TestCanaryThatFailsNoMoreOftenThanTheStableOneGoesOn(t *testing.T) {
	count := func(t *rapid.T, name string) Count {
		pods := rapid.IntRange(0, 5000).Draw(t, name)
		return Count{pods, rapid.IntRange(0, pods).Draw(t, name+" failed")}
	}
	rapid.Check(t, func(t *rapid.T) {
		c, s := count(t, "canary"), count(t, "stable")
		limits := Thresholds{FailedPods: rapid.IntRange(0, 5).Draw(t, "pods"), MarginPercent: rapid.IntRange(0, 100).Draw(t, "margin")}
		why := Judge(c, s, limits)
		if why != "" && c.Failed*s.Pods <= s.Failed*c.Pods && s.Pods > 0 {
			t.Fatalf("%v is not worse than %v: %s", c, s, why)
		}
		if s.Failed < s.Pods && why == "" && Judge(c, Count{s.Pods, s.Failed + 1}, limits) != "" {
			t.Fatal("one more failure of the stable sidecar rolled the canary back")
		}
	})
}

func TestFailureOfASidecar(t *testing.T) {
	waiting := func(reason string) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
	}
	now := time.Now()
	running := func(since time.Duration) corev1.ContainerState {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now.Add(-since))}}
	}
	if got := Failed(&corev1.ContainerStatus{State: running(time.Second)}, DefaultThresholds(), now); got != "" {
		t.Errorf("just started: got %q", got)
	}
	if got := Failed(&corev1.ContainerStatus{State: running(time.Hour), Ready: true}, DefaultThresholds(), now); got != "" {
		t.Errorf("ready: got %q", got)
	}
	oom := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled"}}
	for want, s := range map[string]corev1.ContainerStatus{
		"ImagePullBackOff":           waiting("ImagePullBackOff"),
		"ErrImagePull":               waiting("ErrImagePull"),
		"CrashLoopBackOff":           waiting("CrashLoopBackOff"),
		"CreateContainerConfigError": waiting("CreateContainerConfigError"),
		"OOMKilled":                  {LastTerminationState: oom, State: running(time.Second)},
		"3 restarts":                 {RestartCount: 3},
		"not ready":                  {State: running(time.Hour)},
		"":                           waiting("ContainerCreating"),
	} {
		if got := Failed(&s, DefaultThresholds(), now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := Failed(&corev1.ContainerStatus{RestartCount: 2}, DefaultThresholds(), now); got != "" {
		t.Errorf("two restarts: got %q", got)
	}
}
