package warn_test

import (
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// with changes each sample from a moment on, for a while.
func with(all []sample.Sample, from, length time.Duration, change func(*sample.Sample)) []sample.Sample {
	for i := range all {
		if at := time.Duration(all[i].At - start); at > from && at <= from+length {
			change(&all[i])
		}
	}
	return all
}

// Packets that the socket dropped are missing for the decoder, too: that is one
// cause, and it is the node's.
func TestOneLossIsOneCause(t *testing.T) {
	all := with(samples(film(30*time.Second, 30, 0, 1), 30*time.Second), 20*time.Second, 2*time.Second, func(s *sample.Sample) {
		s.Kernel = sample.Kernel{Known: true, Drops: 12, Reason: "SOCKET_RCVBUFF"}
		s.Socket = sample.Socket{Known: true, Queue: 212_992, Drops: 12}
		s.Session = sample.Session{Open: true, Frames: 3, Errors: 3}
	})
	alerts, _ := run(all, warn.Options{})
	degraded := of(alerts, warn.Degraded, 0)
	if len(degraded) != 1 || degraded[0].Cause != warn.Node {
		t.Fatalf("%v", degraded)
	}
	if e := degraded[0].Evidence["dropped"]; e.Value != 12 || e.Scope != warn.PodSocket || e.Detail != "SOCKET_RCVBUFF" {
		t.Errorf("%+v", e)
	}
	if e, both := degraded[0].Evidence["lost"]; both {
		t.Errorf("the same packets are lost once more: %+v", e)
	}
}

func TestOwnTroubleBlamesNobody(t *testing.T) {
	all := with(samples(film(30*time.Second, 30, 0, 1), 30*time.Second), 20*time.Second, 10*time.Second, func(s *sample.Sample) {
		s.Node = sample.Node{SidecarThrottled: sample.Of(0.9), SidecarMemoryPressure: sample.Of(60), GCPauseSeconds: sample.Of(0.2)}
	})
	alerts, last := run(all, warn.Options{})
	if len(alerts) > 0 || last.Cause != "" || last.Health != warn.Excellent || !last.SelfImpaired {
		t.Errorf("%v, %+v", alerts, last)
	}
	hold := with(samples(hold(film(30*time.Second, 30, 0, 1), 20*time.Second, 8*time.Second), 27*time.Second), 0, time.Minute, func(s *sample.Sample) {
		s.Node = sample.Node{SidecarThrottled: sample.Of(0.9)}
	})
	if _, last := run(hold, warn.Options{}); last.Cause == warn.Node || !last.SelfImpaired {
		t.Errorf("%+v", last)
	}
}

func TestDegradedIsRaisedAtTheNextStepAndIsBounded(t *testing.T) {
	const at = 20 * time.Second
	all := with(samples(film(2*time.Hour, 10, 0, 1), 2*time.Hour), at, sample.Interval, func(s *sample.Sample) { s.Media.Lost, s.Media.Gaps = 3, 3 })
	for next := at + time.Minute; next < 2*time.Hour; next += time.Minute {
		with(all, next, sample.Interval, func(s *sample.Sample) { s.Media.Lost, s.Media.Gaps = 3, 1 })
	}
	alerts, _ := run(all, warn.Options{})
	degraded := of(alerts, warn.Degraded, 0)
	if len(degraded) == 0 || since(degraded[0]) > at+2*sample.Interval {
		t.Fatalf("%v", degraded)
	}
	for i := 6; i < len(degraded); i++ {
		if degraded[i].At.Sub(degraded[i-6].At) < time.Hour {
			t.Errorf("seven within %v", degraded[i].At.Sub(degraded[i-6].At))
		}
	}
}

func TestTwoPacketsAreNoBurst(t *testing.T) {
	all := samples(film(10*time.Minute, 30, 0, 1), 10*time.Minute)
	for at := 10 * time.Second; at < 10*time.Minute; at += time.Second {
		with(all, at, sample.Interval, func(s *sample.Sample) { s.Media.Lost, s.Media.Gaps = 1, 1 })
	}
	if alerts, _ := run(all, warn.Options{}); len(of(alerts, warn.Degraded, 0)) > 0 {
		t.Errorf("%v", alerts)
	}
}

// Without a tap the socket's queue is what there is; and the verdict says what it
// can't know.
func TestUserTierWarnsByTheQueueAndSaysWhatItCannotKnow(t *testing.T) {
	d := warn.New(warn.Options{}, stream)
	var alerts []warn.Alert
	var last warn.Verdict
	for i := range 100 {
		s := sample.Sample{At: start + clock.Ktime(time.Duration(i)*sample.Interval)}
		s.Socket.Known = true
		if i > 50 {
			s.Socket.Queue = uint64(i-50) * 8000
		}
		v, raised := d.Step(s)
		alerts, last = append(alerts, raised...), v
	}
	predicted := of(alerts, warn.StallPredicted, time.Second)
	if len(predicted) == 0 || predicted[0].Cause != warn.Node {
		t.Errorf("%v", alerts)
	}
	if len(last.Blind) == 0 {
		t.Error("it says nothing of what it can't know")
	}
}

// Packets may be well, and the picture is not.
func TestBrokenPicturesAreNotExcellent(t *testing.T) {
	for name, c := range map[string]struct {
		session sample.Session
		health  warn.Health
		cause   warn.Cause
		figure  string
	}{
		"good":                     {sample.Session{}, warn.Excellent, "", ""},
		"a few blocky ones":        {sample.Session{Artefacts: sample.Of(0.1)}, warn.Excellent, "", ""},
		"most are blocky":          {sample.Session{Artefacts: sample.Of(0.8)}, warn.Fair, warn.Camera, "artefacts"},
		"the decoder refuses some": {sample.Session{Errors: 1}, warn.Fair, warn.Decoder, "decoder"},
		"they come late out of it": {sample.Session{Late: 1, Artefacts: sample.Of(0.0)}, warn.Fair, warn.Decoder, "decoder"},
		"it is not checked by now": {sample.Session{Artefacts: sample.Figure{}}, warn.Excellent, "", ""},
	} {
		d := warn.New(warn.Options{}, stream)
		var last warn.Verdict
		for i := range 100 {
			now := time.Duration(i) * sample.Interval
			s := sample.Sample{At: start + clock.Ktime(now), Media: sample.Media{Known: true, Reliable: true, Packets: 3, Frames: 3, Newest: now, NewestAt: start + clock.Ktime(now)}, Session: c.session}
			s.Session.Open, s.Session.Frames, s.Session.Age = true, 3, sample.Of(0.01)
			last, _ = d.Step(s)
		}
		_, told := last.Evidence[c.figure]
		if last.Health != c.health || last.Cause != c.cause || c.figure != "" && !told {
			t.Errorf("%s: %s, %s, %v", name, last.Health, last.Cause, last.Evidence)
		}
	}
}

func TestOwnSessionThatShowsNothingIsAStall(t *testing.T) {
	d := warn.New(warn.Options{}, stream)
	var alerts []warn.Alert
	for i := range 200 {
		s := sample.Sample{At: start + clock.Ktime(time.Duration(i)*sample.Interval)}
		s.Session = sample.Session{Open: true, Frames: 3, Age: sample.Of(0.03)}
		if i > 100 {
			s.Session.Frames, s.Session.Age = 0, sample.Of(float64(i-100)/10)
		}
		_, raised := d.Step(s)
		alerts = append(alerts, raised...)
	}
	for _, depth := range warn.DefaultBuffers() {
		stalls := of(alerts, warn.Stalled, depth)
		if len(stalls) != 1 || since(stalls[0]) < 10*time.Second+depth {
			t.Errorf("%v: %v", depth, stalls)
		}
	}
}
