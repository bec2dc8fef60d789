package session

import (
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func env(pairs ...string) []corev1.EnvVar {
	var out []corev1.EnvVar
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, corev1.EnvVar{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func withEphemeral(env []corev1.EnvVar) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(start)},
		Spec: corev1.PodSpec{EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debugger-abcde", Image: "debugsidecar/debug:1", Env: env,
		}}}},
	}
}

func withStatus(pod *corev1.Pod, s corev1.ContainerState) *corev1.Pod {
	pod.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: "debugger-abcde", State: s}}
	return pod
}

var (
	running    = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start.Add(time.Second))}}
	terminated = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: "Error", ExitCode: 3, StartedAt: metav1.NewTime(start), FinishedAt: metav1.NewTime(start.Add(time.Minute)),
	}}
	waits = func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
)

func TestASessionIsReadOutOfItsContainer(t *testing.T) {
	pod := withStatus(withEphemeral(env(
		TTLVar, "1h0m0s", ReasonVar, "frames are lost", TicketVar, "OPS-1",
		TargetContainerVar, "app", TargetIDVar, "containerd://ab",
		UserVar, "anna", GroupsVar, "dev,system:authenticated", RequestVar, "u-1",
		SinceVar, "2026-11-26T12:00:00Z", UntilVar, "2026-11-26T13:00:00Z",
	)), running)
	want := []Session{{
		Container: "debugger-abcde", State: Running,
		User: "anna", Groups: []string{"dev", "system:authenticated"}, Request: "u-1",
		Since: start, Until: start.Add(time.Hour), TTL: time.Hour,
		Reason: "frames are lost", Ticket: "OPS-1", Image: "debugsidecar/debug:1", Target: "app", TargetID: "containerd://ab",
		Started: start.Add(time.Second),
	}}
	if diff := cmp.Diff(want, Of(pod, start.Add(time.Minute))); diff != "" {
		t.Error(diff)
	}
}

func TestStates(t *testing.T) {
	stamped := env(UserVar, "anna", UntilVar, start.Add(time.Hour).Format(time.RFC3339))
	deleted := func(p *corev1.Pod) *corev1.Pod { p.DeletionTimestamp = &metav1.Time{Time: start}; return p }
	ended := func(p *corev1.Pod) *corev1.Pod { p.Status.Phase = corev1.PodSucceeded; return p }
	for _, c := range []struct {
		name  string
		pod   *corev1.Pod
		after time.Duration
		want  State
		why   string
	}{
		{"no status yet", withEphemeral(stamped), 0, Pending, ""},
		{"on the way", withStatus(withEphemeral(stamped), waits("ContainerCreating", "")), 0, Pending, "ContainerCreating"},
		{"no image", withStatus(withEphemeral(stamped), waits("ErrImagePull", "not found")), 0, Failed, "ErrImagePull: not found"},
		{"runs", withStatus(withEphemeral(stamped), running), 0, Running, ""},
		{"a moment before its time is up", withStatus(withEphemeral(stamped), running), time.Hour - 1, Running, ""},
		{"time is up", withStatus(withEphemeral(stamped), running), time.Hour, Terminating, "its time is up"},
		{"time is up before it started", withStatus(withEphemeral(stamped), waits("ErrImagePull", "")), time.Hour, Terminating, "its time is up"},
		{"pod deleted", deleted(withStatus(withEphemeral(stamped), running)), 0, Terminating, "the pod is being deleted"},
		{"pod ended", ended(withStatus(withEphemeral(stamped), running)), 0, Terminating, "the pod has ended"},
		{"pod ended before it started", ended(withEphemeral(stamped)), 0, Done, "the pod has ended"},
		{"ended", withStatus(withEphemeral(stamped), terminated), 2 * time.Hour, Done, "Error, exit code 3"},
		{"ended in a deleted pod", deleted(withStatus(withEphemeral(stamped), terminated)), 0, Done, "Error, exit code 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Of(c.pod, start.Add(c.after))
			if len(got) != 1 || got[0].State != c.want || got[0].Why != c.why {
				t.Errorf("got %+v, want %s, %q", got, c.want, c.why)
			}
		})
	}
}

func TestOnlyItsMarksMakeASession(t *testing.T) {
	if got := Of(withEphemeral(env("PATH", "/", ReasonVar, "x", SinceVar, "2026-11-26T12:00:00Z")), start); got != nil {
		t.Errorf("a container without a TTL or a user is a session: %+v", got)
	}
	from := withEphemeral([]corev1.EnvVar{{Name: UserVar, ValueFrom: &corev1.EnvVarSource{}}})
	if got := Of(from, start); got != nil {
		t.Errorf("a user from elsewhere is one: %+v", got)
	}
	twice := Of(withEphemeral(env(UserVar, "mallory", UserVar, "anna")), start)
	if len(twice) != 1 || twice[0].User != "anna" {
		t.Errorf("the last of two values does not count, as it does in the container: %+v", twice)
	}
}

func TestASessionInACopy(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{CopyOfLabel: "uid"}, CreationTimestamp: metav1.NewTime(start)},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "app"}, {Name: "debugger-abcde", Env: env(TTLVar, "1h")}},
		},
	}
	got := Of(pod, start)
	if len(got) != 1 || got[0].Container != "debugger-abcde" || !got[0].IsCopy || got[0].Recorded() || got[0].Until != start.Add(time.Hour) {
		t.Errorf("got %+v", got)
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "debugger-abcde", State: terminated}}
	if got := Of(pod, start)[0]; got.State != Done {
		t.Errorf("ended for good: %+v", got)
	}
	pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	if got := Of(pod, start)[0]; got.State != Pending {
		t.Errorf("it will start again: %+v", got)
	}
	pod.Labels = nil
	if got := Of(pod, start); got != nil {
		t.Errorf("a pod that is no copy has a session in an ordinary container: %+v", got)
	}
}

func TestHostileText(t *testing.T) {
	for _, in := range []string{"\x1b[2J", "a\nb", "\u202egnp.exe", "\xff\xfe", strings.Repeat("ä", 1000), strings.Repeat("\x00", 1000), ""} {
		got := Text(in)
		if len(got) > MaxText || !isPrintable(strings.ReplaceAll(got, "\ufffd", "")) || !utf8.ValidString(got) {
			t.Errorf("%q became %q", in, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "text")
		if once := Text(in); Text(once) != once && !strings.ContainsRune(once, utf8.RuneError) {
			t.Errorf("%q, then %q", once, Text(once))
		}
	})
}

func TestAHostilePodIsReadInBounds(t *testing.T) {
	var many []corev1.EnvVar
	for i := range 200_000 {
		many = append(many, corev1.EnvVar{Name: "DEBUGSIDECAR_" + strconv.Itoa(i), Value: "x"})
	}
	many = append(many, env(UserVar, "anna", GroupsVar, strings.Repeat(strings.Repeat("g", 1000)+",", 1000), TTLVar, "-5h", UntilVar, strings.Repeat("9", 1<<20))...)
	began := time.Now()
	got := Of(withEphemeral(many), start)
	if len(got) != 1 || got[0].User != "anna" || len(got[0].Groups) != MaxGroups || len(got[0].Groups[0]) > MaxText || got[0].TTL != 0 || !got[0].Until.IsZero() {
		t.Errorf("got %d sessions", len(got))
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %s", took)
	}
}

// TestStatesOnlyMoveOn draws what a kubelet and an API server may make of a pod,
// one look after the other, and follows the states. What it may draw is what the
// API server lets a status become: nothing leaves "terminated" that is not to be
// started again, and nothing leaves the phases Succeeded and Failed; no deletion
// is taken back; containers stay as they are.
func TestStatesOnlyMoveOn(t *testing.T) {
	seen := map[State]int{}
	rapid.Check(t, func(t *rapid.T) {
		isCopy := rapid.Bool().Draw(t, "copy")
		policy := rapid.SampledFrom([]corev1.RestartPolicy{corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure, corev1.RestartPolicyAlways}).Draw(t, "policy")
		vars := env(TTLVar, rapid.SampledFrom([]string{"1m", "0s", "nonsense"}).Draw(t, "ttl"))
		if rapid.Bool().Draw(t, "stamped") {
			vars = append(vars, env(UserVar, "anna", UntilVar, start.Add(time.Minute).Format(time.RFC3339))...)
		}
		pod := withEphemeral(vars)
		pod.Spec.RestartPolicy = policy
		if isCopy {
			pod.Labels = map[string]string{CopyOfLabel: "uid"}
			pod.Spec.EphemeralContainers = nil
			pod.Spec.Containers = []corev1.Container{{Name: "debugger-abcde", Env: vars}}
		}
		final := func(s corev1.ContainerState) bool {
			return s.Terminated != nil && (!isCopy || policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && s.Terminated.ExitCode == 0)
		}
		now, last := start, State("")
		var is corev1.ContainerState
		for range 12 {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			over := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
			if !final(is) && !(over && is.Terminated != nil) {
				choices := []corev1.ContainerState{terminated, {Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}}
				if !over {
					choices = append(choices, running, waits("ContainerCreating", ""), waits("ImagePullBackOff", "x"))
				}
				if rapid.Bool().Draw(t, "changes") {
					is = rapid.SampledFrom(choices).Draw(t, "status")
					status := []corev1.ContainerStatus{{Name: "debugger-abcde", State: is}}
					if isCopy {
						pod.Status.ContainerStatuses = status
					} else {
						pod.Status.EphemeralContainerStatuses = status
					}
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "deletes") == 0 {
				pod.DeletionTimestamp = &metav1.Time{Time: now}
			}
			if rapid.IntRange(0, 9).Draw(t, "ends") == 0 && !over {
				pod.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed}).Draw(t, "phase")
			}
			got := Of(pod, now)
			if len(got) != 1 {
				t.Fatalf("%d sessions", len(got))
			}
			if !maybe(last, got[0].State) {
				t.Fatalf("from %s to %s", last, got[0].State)
			}
			last = got[0].State
			seen[last]++
		}
	})
	for _, s := range []State{Pending, Running, Failed, Terminating, Done} {
		if seen[s] == 0 {
			t.Errorf("no draw came to %s", s)
		}
	}
}

// maybe says whether a session may go from one state to the other.
func maybe(from, to State) bool {
	switch from {
	case Terminating:
		return to == Terminating || to == Done
	case Done:
		return to == Done
	}
	return true
}

func FuzzOf(f *testing.F) {
	f.Add("1h", "anna", "a,b", "2026-11-26T12:00:00Z", "why\x1b[31m")
	f.Fuzz(func(t *testing.T, ttl, user, groups, until, reason string) {
		for _, s := range Of(withEphemeral(env(TTLVar, ttl, UserVar, user, GroupsVar, groups, UntilVar, until, ReasonVar, reason)), start) {
			for _, text := range append(s.Groups, s.User, s.Reason) {
				if len(text) > MaxText || !isPrintable(strings.ReplaceAll(text, "\ufffd", "")) {
					t.Errorf("%q", text)
				}
			}
			if s.TTL < 0 {
				t.Errorf("a TTL of %s", s.TTL)
			}
		}
	})
}
