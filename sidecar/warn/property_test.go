package warn_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// trouble draws a minute of a stream with some faults in it.
func trouble(t *rapid.T) []sample.Sample {
	fps := rapid.SampledFrom([]int{10, 15, 25, 30, 60}).Draw(t, "fps")
	shots := film(time.Minute, fps, time.Duration(rapid.IntRange(0, 20).Draw(t, "jitter"))*time.Millisecond, rapid.Uint64().Draw(t, "seed"))
	for range rapid.IntRange(0, 3).Draw(t, "faults") {
		at := time.Duration(rapid.IntRange(5000, 50000).Draw(t, "at")) * time.Millisecond
		length := time.Duration(rapid.IntRange(20, 8000).Draw(t, "length")) * time.Millisecond
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			hold(shots, at, length)
		case 1:
			lose(shots, at, length, rapid.IntRange(1, 5).Draw(t, "every"))
		case 2:
			narrow(shots, at, length, float64(rapid.IntRange(60, 400).Draw(t, "rate")))
		}
	}
	slices.SortStableFunc(shots, func(a, b shot) int { return int(a.arrives - b.arrives) })
	return samples(shots, time.Minute)
}

var figures = cmp.AllowUnexported(sample.Figure{})

func TestSameSamplesGiveTheSameAlerts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := trouble(t)
		first, _ := run(all, warn.Options{})
		second, _ := run(all, warn.Options{})
		if diff := cmp.Diff(first, second, figures, cmpopts.EquateComparable(sample.Stream{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAlertsDoNotDependOnWhatTheClockShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := trouble(t)
		here, _ := run(all, warn.Options{})
		later := time.Duration(rapid.IntRange(1, 1e9).Draw(t, "later")) * time.Second / 10
		shifted := slices.Clone(all)
		for i := range shifted {
			shifted[i].At += clock.Ktime(later)
			shifted[i].Media.NewestAt += clock.Ktime(later)
		}
		there, _ := run(shifted, warn.Options{})
		for i := range there {
			there[i].At = there[i].At.Add(-later)
		}
		if diff := cmp.Diff(here, there, figures, cmpopts.EquateComparable(sample.Stream{}), cmpopts.EquateApprox(0, 1e-6)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Alerts come in the order of their times, a Clear only after what it ends, and
// each has what its kind promises.
func TestAlertsAreWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alerts, last := run(trouble(t), warn.Options{})
		raised := map[time.Duration]bool{}
		before := time.Duration(0)
		for _, a := range alerts {
			if since(a) < before {
				t.Fatalf("%v comes after %v", a, before)
			}
			before = since(a)
			eta, known := a.ETA.Get()
			switch {
			case known != (a.Kind == warn.StallPredicted) || eta < 0 || eta > 30:
				t.Fatalf("%v has the eta %v", a, eta)
			case a.Kind == warn.Degraded && a.Buffer != 0 || (a.Kind == warn.StallPredicted || a.Kind == warn.Stalled) && a.Buffer == 0:
				t.Fatalf("%v is about %v", a, a.Buffer)
			case a.Kind == warn.Clear && !raised[a.Buffer]:
				t.Fatalf("%v, and nothing was raised", a)
			case a.Kind != warn.Clear && (a.Confidence <= 0 || a.Confidence > 1):
				t.Fatalf("%v has the confidence %v", a, a.Confidence)
			}
			raised[a.Buffer] = a.Kind != warn.Clear
		}
		if len(last.Forecasts) != len(warn.DefaultBuffers()) {
			t.Fatalf("%d forecasts", len(last.Forecasts))
		}
	})
}

// Who wants to be surer is told later, or not at all, and never of less than he
// asked for.
func TestMoreConfidenceIsNeverEarlier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := trouble(t)
		first := func(confidence float64) map[time.Duration]time.Duration {
			at := map[time.Duration]time.Duration{}
			alerts, _ := run(all, warn.Options{Confidence: confidence})
			for _, a := range alerts {
				if _, told := at[a.Buffer]; a.Kind == warn.StallPredicted && !told {
					at[a.Buffer] = since(a)
				}
			}
			return at
		}
		less := rapid.Float64Range(warn.LeastConfidence, .9).Draw(t, "less")
		soon, later := first(less), first(rapid.Float64Range(less, warn.MostConfidence).Draw(t, "more"))
		for depth, at := range later {
			if s, told := soon[depth]; !told || s > at {
				t.Fatalf("depth %v: surer at %v, less sure at %v (%t)", depth, at, s, told)
			}
		}
	})
}

func TestLongerOutageNeverClearsWhatAShorterOneRaised(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		short := time.Duration(rapid.IntRange(300, 5000).Draw(t, "short")) * time.Millisecond
		long := short + time.Duration(rapid.IntRange(100, 4000).Draw(t, "more"))*time.Millisecond
		const at = 20 * time.Second
		alertsOf := func(length time.Duration) []warn.Alert {
			alerts, _ := run(samples(hold(film(time.Minute, 30, 0, 1), at, length), time.Minute), warn.Options{})
			return alerts
		}
		fewer, more := alertsOf(short), alertsOf(long)
		for _, depth := range warn.DefaultBuffers() {
			if len(of(fewer, warn.Stalled, depth)) > 0 && len(of(more, warn.Stalled, depth)) == 0 {
				t.Fatalf("%v: a stall of an outage of %v is none of one of %v", depth, short, long)
			}
			for _, a := range of(more, warn.Clear, depth) {
				if since(a) > at && since(a) < at+long {
					t.Fatalf("%v: cleared at %v, the outage lasts until %v", depth, since(a), at+long)
				}
			}
		}
	})
}

func TestDeeperBufferStallsNoEarlier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.IntRange(200, 9000).Draw(t, "length")) * time.Millisecond
		alerts, _ := run(samples(hold(film(time.Minute, 25, 0, 1), 20*time.Second, length), time.Minute), warn.Options{})
		before := time.Duration(0)
		for _, depth := range warn.DefaultBuffers() {
			stalls := of(alerts, warn.Stalled, depth)
			if len(stalls) == 0 {
				before = time.Hour
				continue
			}
			if first := since(stalls[0]); first < before {
				t.Fatalf("%v stalls at %v, a shallower one later", depth, first)
			} else {
				before = first
			}
		}
	})
}
