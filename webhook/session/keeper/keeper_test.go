package keeper

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func TestConditionOfAPod(t *testing.T) {
	is := func(state session.State, change ...func(*session.Session)) session.Session {
		s := session.Session{Container: "debugger-abcde", State: state, User: "anna", Target: "app", Until: noon}
		for _, c := range change {
			c(&s)
		}
		return s
	}
	unknown := func(s *session.Session) { s.User, s.Until, s.Target = "", time.Time{}, "" }
	why := func(s *session.Session) { s.Reason, s.Ticket, s.Why = "frames are lost", "OPS-1", "ImagePullBackOff" }
	for name, c := range map[string]struct {
		sessions []session.Session
		status   corev1.ConditionStatus
		reason   string
		message  string
	}{
		"none":        {nil, corev1.ConditionFalse, "Done", "no debug session"},
		"over":        {[]session.Session{is(session.Done)}, corev1.ConditionFalse, "Done", "no debug session"},
		"one":         {[]session.Session{is(session.Running)}, corev1.ConditionTrue, "Running", "anna debugs container app with container debugger-abcde until 2026-11-26T12:00:00Z: Running"},
		"why":         {[]session.Session{is(session.Failed, why)}, corev1.ConditionTrue, "Failed", `anna debugs container app with container debugger-abcde until 2026-11-26T12:00:00Z, reason "frames are lost", ticket "OPS-1": Failed`},
		"who":         {[]session.Session{is(session.Pending, unknown)}, corev1.ConditionTrue, "Pending", "somebody (not recorded) debugs with container debugger-abcde: Pending"},
		"two":         {[]session.Session{is(session.Pending, unknown), is(session.Done), is(session.Terminating, unknown)}, corev1.ConditionTrue, "Terminating", "somebody (not recorded) debugs with container debugger-abcde: Pending; somebody (not recorded) debugs with container debugger-abcde: Terminating"},
		"six and one": {[]session.Session{is(session.Running, unknown), is(session.Running, unknown), is(session.Running, unknown), is(session.Running, unknown), is(session.Running, unknown), is(session.Running, unknown)}, corev1.ConditionTrue, "Running", strings.Repeat("somebody (not recorded) debugs with container debugger-abcde: Running; ", 5) + "and 1 more"},
	} {
		got := condition(c.sessions)
		if got.Type != session.DebugActive || got.Status != c.status || got.Reason != c.reason || got.Message != c.message {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestWhenACopyHasToGo(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(noon)}}
	later := func(d time.Duration) time.Time { return noon.Add(d) }
	for name, c := range map[string]struct {
		most     time.Duration
		sessions []session.Session
		want     time.Time
	}{
		"no copy":                {time.Hour, []session.Session{{State: session.Done}}, time.Time{}},
		"no session":             {time.Hour, nil, time.Time{}},
		"its time":               {8 * time.Hour, []session.Session{{IsCopy: true, State: session.Running, Until: later(time.Hour)}}, later(time.Hour)},
		"over":                   {8 * time.Hour, []session.Session{{IsCopy: true, State: session.Done, Until: later(time.Hour), Ended: later(time.Minute)}}, later(time.Minute + linger)},
		"over, not known when":   {8 * time.Hour, []session.Session{{IsCopy: true, State: session.Done, Until: later(time.Hour)}}, noon},
		"one is over":            {0, []session.Session{{IsCopy: true, State: session.Done, Until: later(time.Hour)}, {IsCopy: true, State: session.Running, Until: later(2 * time.Hour)}}, later(2 * time.Hour)},
		"for ever":               {0, []session.Session{{IsCopy: true, State: session.Running}}, time.Time{}},
		"for ever, but for most": {time.Hour, []session.Session{{IsCopy: true, State: session.Running}}, later(time.Hour + skew)},
		"a forged end":           {time.Hour, []session.Session{{IsCopy: true, State: session.Running, Until: later(100 * time.Hour)}}, later(time.Hour + skew)},
		"debugged itself":        {time.Hour, []session.Session{{State: session.Running}, {IsCopy: true, State: session.Done}}, noon},
	} {
		k := &Keeper{MaxTTL: func() time.Duration { return c.most }}
		if got := k.due(pod, c.sessions); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWhichPodsAreReadWhole(t *testing.T) {
	for name, c := range map[string]struct {
		meta metav1.ObjectMeta
		want bool
	}{
		"an ordinary pod": {metav1.ObjectMeta{Labels: map[string]string{"app": "x"}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet", Subresource: "status"}, {Manager: "kubectl"}}}, false},
		"kubectl debug":   {metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl-debug", Subresource: "ephemeralcontainers"}}}, true},
		"a copy":          {metav1.ObjectMeta{Labels: map[string]string{session.CopyOfLabel: ""}}, true},
		"with our mark":   {metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{Manager: FieldManager, Subresource: "status"}}}, true},
	} {
		if got := mayHaveSession(&c.meta); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestANoteIsBounded(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("ä", 2000)} {
		if got := cut(s, maxNote); len(got) > maxNote || !utf8.ValidString(got) {
			t.Errorf("%d bytes", len(got))
		}
	}
}
