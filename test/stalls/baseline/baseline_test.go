package baseline

import (
	"bytes"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

// warnings returns when a rule begins to warn, of frames at these times.
func warnings(r rule, frames []time.Duration, until time.Duration) []time.Duration {
	var raised []time.Duration
	warned := false
	next := 0
	for at := 100 * time.Millisecond; at < until; at += 100 * time.Millisecond {
		for next < len(frames) && frames[next] < at {
			r.frame(frames[next])
			next++
		}
		if next == 0 {
			continue
		}
		warns := r.warns(at)
		if warns && !warned {
			raised = append(raised, at)
		}
		warned = warns
	}
	return raised
}

// every returns times from..to, so far apart.
func every(interval, from, to time.Duration) []time.Duration {
	var times []time.Duration
	for at := from; at < to; at += interval {
		times = append(times, at)
	}
	return times
}

func TestRulesWarnOfAGapAndNotWithoutOne(t *testing.T) {
	const interval = 40 * time.Millisecond
	steady := every(interval, 0, 30*time.Second)
	gap := append(every(interval, 0, 10*time.Second), every(interval, 12*time.Second, 30*time.Second)...)
	for name, rule := range rules {
		if got := warnings(rule(), steady, 30*time.Second); len(got) != 0 {
			t.Errorf("%s warns of a steady stream at %v", name, got)
		}
		got := warnings(rule(), gap, 30*time.Second)
		if len(got) != 1 || got[0] < 10*time.Second || got[0] > 10500*time.Millisecond {
			t.Errorf("%s warns at %v of a gap from 10 to 12 s", name, got)
		}
	}
}

func TestAlertsNameStreamsOfTheTruth(t *testing.T) {
	s, err := scenario.Draw(2, 3*time.Minute, 8)
	if err != nil {
		t.Fatal(err)
	}
	rec := record.Run(s)
	known := map[string]bool{}
	for _, s := range rec.Truth(viewer.Conceal).Streams {
		known[s.Stream+s.Src] = true
	}
	var capture bytes.Buffer
	if err := rec.WriteCapture(&capture, rec.Duration()); err != nil {
		t.Fatal(err)
	}
	for _, rule := range []string{Freeze, EWMA} {
		alerts, err := Alerts(rule, bytes.NewReader(capture.Bytes()), record.Start)
		if err != nil {
			t.Fatal(err)
		}
		if len(alerts) == 0 || len(alerts)%len(viewer.Depths) != 0 {
			t.Errorf("%s: %d alerts", rule, len(alerts))
		}
		last := 0.0
		for _, a := range alerts {
			if !known[a.Stream+a.Src] || a.At < last || a.At > rec.Duration().Seconds() {
				t.Errorf("%s: %+v after %v", rule, a, last)
			}
			last = a.At
		}
	}
}

func TestUnknownRuleIsAnError(t *testing.T) {
	if _, err := Alerts("astrology", bytes.NewReader(nil), record.Start); err == nil {
		t.Error("it was taken")
	}
}

func TestPacketsThatAreNoRTPAreIgnored(t *testing.T) {
	rtp := make([]byte, 80)
	rtp[12], rtp[13], rtp[42] = 8, 0, 0x80
	if _, ok := parse(rtp); !ok {
		t.Error("RTP is not recognised")
	}
	for name, change := range map[string]func(b []byte) []byte{
		"short":            func(b []byte) []byte { return b[:53] },
		"no IP":            func(b []byte) []byte { b[13] = 6; return b },
		"IPv6, short":      func(b []byte) []byte { b[12], b[13] = 0x86, 0xdd; return b[:70] },
		"no version":       func(b []byte) []byte { b[42] = 0; return b },
		"a report of RTCP": func(b []byte) []byte { b[43] = 200; return b },
	} {
		if _, ok := parse(change(bytes.Clone(rtp))); ok {
			t.Errorf("%s: taken for RTP", name)
		}
	}
}
