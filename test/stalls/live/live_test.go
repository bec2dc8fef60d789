package live

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

// plain returns a scenario of one calm stream with a fault from 3 s on.
func plain(t *testing.T, duration time.Duration, fault scenario.Fault) scenario.Scenario {
	t.Helper()
	s, err := scenario.Draw(1, duration, 1)
	if err != nil {
		t.Fatal(err)
	}
	g := &s.Groups[0]
	g.Streams = g.Streams[:1]
	stream := &g.Streams[0]
	stream.Interval, stream.Start, stream.First, stream.Drift, stream.Counted = 40*time.Millisecond, 0, 0, 0, false
	stream.Scale *= .5
	g.Link = scenario.Link{BitsPerSecond: 50 * stream.Bitrate, QueueBytes: 1e9, Delay: time.Millisecond}
	g.App = scenario.App{Buffer: 212992, Load: .01}
	fault.Start = 3 * time.Second
	g.Faults = []scenario.Fault{fault}
	return s
}

func live(t *testing.T, s scenario.Scenario) record.Stream {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: it runs in real time")
	}
	ready := false
	rec, err := Run(t.Context(), s, func() { ready = true })
	if err != nil {
		t.Fatal(err)
	}
	truth := rec.Truth(viewer.Conceal)
	if !ready || len(truth.Streams) != 1 {
		t.Fatalf("ready: %v, %d streams", ready, len(truth.Streams))
	}
	return truth.Streams[0]
}

func blamed(s record.Stream, depth float64, kind scenario.Kind) bool {
	for _, e := range s.Episodes {
		if e.Buffer == depth && e.Fault == string(kind) && e.End-e.Start > .5 {
			return true
		}
	}
	return false
}

func TestOutageStallsRealStream(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := live(t, plain(t, 9*time.Second, scenario.Fault{Kind: scenario.OutageQueue, Stream: scenario.All, Hold: 2500 * time.Millisecond}))
	if !blamed(s, .2, scenario.OutageQueue) || !blamed(s, 1, scenario.OutageQueue) {
		t.Errorf("%+v", s.Episodes)
	}
}

func TestReaderThatStopsLosesAtARealSocket(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := plain(t, 10*time.Second, scenario.Fault{Kind: scenario.ReaderStop, Stream: scenario.All, Hold: 3 * time.Second})
	// So little that the pause is more than the buffer holds.
	s.Groups[0].App.Buffer = 32 << 10
	got := live(t, s)
	if !blamed(got, 1, scenario.ReaderStop) {
		t.Errorf("%+v", got.Episodes)
	}
	socket := false
	for _, b := range got.Bursts {
		socket = socket || b.Socket
	}
	if !socket {
		t.Errorf("no burst of drops at the socket: %+v", got.Bursts)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, plain(t, time.Hour/10, scenario.Fault{Kind: scenario.OutageLoss}), cancel)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
