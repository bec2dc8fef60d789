package replay_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/replay"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

func run(t testing.TB, file []byte, o replay.Options) ([]warn.Alert, replay.Summary) {
	t.Helper()
	var alerts []warn.Alert
	o.Alert = func(a warn.Alert) error {
		a.Evidence = nil
		alerts = append(alerts, a)
		return nil
	}
	summary, err := replay.Run(bytes.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	return alerts, summary
}

// of returns the alerts of one kind about one depth.
func of(alerts []warn.Alert, kind warn.Kind, buffer time.Duration) (found []warn.Alert) {
	for _, a := range alerts {
		if a.Kind == kind && a.Buffer == buffer {
			found = append(found, a)
		}
	}
	return found
}

func TestCleanStreamRaisesNothing(t *testing.T) {
	alerts, summary := run(t, capture(t, newFilm(0, time.Minute, 30), newFilm(1, time.Minute, 25), newFilm(2, time.Minute, 10)), replay.Options{})
	if len(alerts) > 0 {
		t.Errorf("%v", alerts)
	}
	if len(summary.Streams) != 3 {
		t.Errorf("%d streams", len(summary.Streams))
	}
}

func TestOutageIsPredictedBeforeItIsAStall(t *testing.T) {
	const at, length = 30 * time.Second, 6 * time.Second
	alerts, _ := run(t, capture(t, newFilm(0, time.Minute, 30).hold(at, length)), replay.Options{})
	for _, depth := range warn.DefaultBuffers() {
		predicted, stalled := of(alerts, warn.StallPredicted, depth), of(alerts, warn.Stalled, depth)
		if len(predicted) == 0 || len(stalled) == 0 {
			t.Fatalf("%v: %v", depth, alerts)
		}
		begins := start.Add(at + depth)
		if lead := begins.Sub(predicted[0].At); lead < depth/4-100*time.Millisecond || lead > depth+time.Second {
			t.Errorf("%v: predicted %v before", depth, lead)
		}
		if late := stalled[0].At.Sub(begins); late < 100*time.Millisecond || late > 400*time.Millisecond {
			t.Errorf("%v: the stall is told %v after it began", depth, late)
		}
		if len(of(alerts, warn.Clear, depth)) == 0 {
			t.Errorf("%v: never clear", depth)
		}
	}
}

func TestEndOfTheFileIsNoStall(t *testing.T) {
	alerts, _ := run(t, capture(t, newFilm(0, 20*time.Second, 30), newFilm(1, 20*time.Second, 30)), replay.Options{})
	if len(alerts) > 0 {
		t.Errorf("%v", alerts)
	}
}

func TestStreamThatStopsBeforeTheEndStalls(t *testing.T) {
	alerts, _ := run(t, capture(t, newFilm(0, 20*time.Second, 30), newFilm(1, 40*time.Second, 30)), replay.Options{})
	for _, depth := range warn.DefaultBuffers() {
		if n := len(of(alerts, warn.Stalled, depth)); n != 1 {
			t.Errorf("%v: %d stalls: %v", depth, n, alerts)
		}
	}
}
