package answer

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

var (
	session = sample.Stream{Source: "rtsp://camera/1"}
	watched = sample.Stream{Dst: netip.MustParseAddrPort("10.0.0.7:5004"), SSRC: 7}
	all     = Policy{LowerSource: true, Reopen: true, Break: true}
)

func TestEachCauseHasItsAnswer(t *testing.T) {
	full := sample.Sample{Socket: sample.Socket{Known: true, Drops: 3}}
	for name, c := range map[string]struct {
		policy Policy
		stream sample.Stream
		sample sample.Sample
		health warn.Health
		cause  warn.Cause
		want   []Kind
	}{
		"nothing is on by default":          {Policy{}, session, full, warn.Poor, warn.Network, nil},
		"a healthy stream needs none":       {all, session, full, warn.Fair, warn.Network, nil},
		"network":                           {all, session, full, warn.Poor, warn.Network, []Kind{LowerSource}},
		"camera":                            {all, session, full, warn.Unusable, warn.Camera, []Kind{Reopen}},
		"node, a socket that drops":         {all, watched, full, warn.Poor, warn.Node, []Kind{ReceiveBuffer}},
		"node, short of CPU":                {all, session, sample.Sample{}, warn.Poor, warn.Node, []Kind{Break}},
		"advice takes no leave":             {Policy{}, watched, full, warn.Poor, warn.Node, []Kind{ReceiveBuffer}},
		"a stream of others is not touched": {all, watched, sample.Sample{}, warn.Poor, warn.Network, nil},
		"nor a camera that others read":     {all, sample.Stream{Source: "/dev/video0"}, sample.Sample{}, warn.Poor, warn.Camera, nil},
	} {
		t.Run(name, func(t *testing.T) {
			answers := New(c.policy).Step(c.stream, c.stream == session, &c.sample, &warn.Verdict{Health: c.health, Cause: c.cause}, sample.Figure{})
			if len(answers) != len(c.want) {
				t.Fatalf("got %v, want %v", answers, c.want)
			}
			for i, a := range answers {
				if a.Kind != c.want[i] {
					t.Errorf("got %v, want %v", a.Kind, c.want[i])
				}
			}
		})
	}
}

func TestAnAnswerIsNotRepeatedWithinItsTime(t *testing.T) {
	a := New(Policy{Reopen: true, Every: time.Minute})
	given := 0
	for tick := range 1800 { // three minutes
		s := sample.Sample{At: clock.Ktime(tick) * clock.Ktime(sample.Interval)}
		given += len(a.Step(session, true, &s, &warn.Verdict{Health: warn.Poor, Cause: warn.Camera}, sample.Figure{}))
	}
	if given != 3 {
		t.Errorf("%d answers in three minutes", given)
	}
	a.Forget(session)
	if len(a.given) != 0 {
		t.Error("a stream that ended is remembered")
	}
}

func TestAdviceNamesSocketAndSize(t *testing.T) {
	s := sample.Sample{Kernel: sample.Kernel{Known: true, Drops: 9, Reason: "SOCKET_RCVBUFF"}}
	answers := New(Policy{}).Step(watched, false, &s, &warn.Verdict{Health: warn.Poor, Cause: warn.Node}, sample.Of(1e6))
	if len(answers) != 1 || !answers[0].Advice {
		t.Fatalf("got %v", answers)
	}
	for _, want := range []string{"port 5004", "512 KiB", "8.0 Mbit/s", "rmem_max"} {
		if !strings.Contains(answers[0].Text, want) {
			t.Errorf("%q lacks %q", answers[0].Text, want)
		}
	}
}

func TestAnAlertsCauseStandsInForAVerdictWithout(t *testing.T) {
	a := New(Policy{LowerSource: true})
	step := func(at time.Duration, cause warn.Cause) int {
		return len(a.Step(session, true, &sample.Sample{At: clock.Ktime(at)}, &warn.Verdict{Health: warn.Poor, Cause: cause}, sample.Figure{}))
	}
	at := func(at time.Duration) clock.Ktime { return clock.Ktime(at) }
	a.Heard(warn.Alert{Stream: session, Kind: warn.StallPredicted, Cause: warn.Network}, at(time.Hour))
	a.Heard(warn.Alert{Stream: session, Kind: warn.Stalled, Cause: warn.Unclear}, at(time.Hour))
	if step(time.Hour+time.Second, warn.Camera) != 0 {
		t.Error("the verdict's own cause counts more")
	}
	if step(time.Hour+blamedFor, warn.Unclear) != 0 {
		t.Error("an alert's cause stands for ever")
	}
	if step(time.Hour+time.Second, warn.Unclear) != 1 {
		t.Error("the alert's cause is forgotten")
	}
	if a.Forget(session); len(a.blamed) != 0 {
		t.Error("a stream that ended is remembered")
	}
}
