package scenario_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

func draw(t testing.TB, seed uint64, duration time.Duration, streams int) scenario.Scenario {
	t.Helper()
	s, err := scenario.Draw(seed, duration, streams)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSameSeedGivesSameScenario(t *testing.T) {
	a := draw(t, 5, 10*time.Minute, 20)
	if !reflect.DeepEqual(a, draw(t, 5, 10*time.Minute, 20)) {
		t.Error("the same seed gave another scenario")
	}
	if reflect.DeepEqual(a, draw(t, 6, 10*time.Minute, 20)) {
		t.Error("another seed gave the same scenario")
	}
}

func TestScenarioHasAsManyVideoStreamsAsAskedFor(t *testing.T) {
	for streams := range 30 {
		got := 0
		for _, g := range draw(t, 3, time.Minute, streams).Groups {
			for _, s := range g.Streams {
				if s.Media == scenario.Video {
					got++
				}
			}
		}
		if got != streams {
			t.Errorf("%d streams, want %d", got, streams)
		}
	}
}

func TestStreamsDifferInAddresses(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range draw(t, 1, time.Minute, 200).Groups {
		for _, s := range g.Streams {
			if seen[s.Dst.String()] {
				t.Errorf("two streams to %s", s.Dst)
			}
			seen[s.Dst.String()] = true
		}
	}
}

func TestEveryKindOfFaultIsDrawn(t *testing.T) {
	kinds := map[scenario.Kind]int{}
	clean, groups, blips := 0, 0, 0
	for seed := range uint64(40) {
		for _, g := range draw(t, seed, time.Hour, 20).Groups {
			groups++
			if len(g.Faults) == 0 {
				clean++
			}
			for _, f := range g.Faults {
				if f.Blip {
					blips++
				} else {
					kinds[f.Kind]++
				}
			}
		}
	}
	for _, kind := range []scenario.Kind{
		scenario.OutageLoss, scenario.OutageQueue, scenario.SqueezeStep, scenario.SqueezeRamp, scenario.LossBurst, scenario.LossRamp,
		scenario.DelayStep, scenario.DelayRamp, scenario.JitterStorm, scenario.Flapping,
		scenario.CameraStop, scenario.CameraDying, scenario.CameraGaps, scenario.EncoderStall, scenario.CameraRestart, scenario.CameraEnd, scenario.Pause,
		scenario.ReaderStop, scenario.ReaderSlow, scenario.ReaderThrottled,
	} {
		if kinds[kind] == 0 {
			t.Errorf("no %s in %d groups", kind, groups)
		}
	}
	if share := float64(clean) / float64(groups); share < .1 || share > .3 {
		t.Errorf("%.2f of the groups have no fault", share)
	}
	if blips == 0 {
		t.Error("no blips")
	}
}

func TestStrengthRisesHoldsAndFalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.Int64Range(0, 20)
		f := scenario.Fault{
			Start: time.Duration(seconds.Draw(t, "start")) * time.Second, Rise: time.Duration(seconds.Draw(t, "rise")) * time.Second,
			Hold: time.Duration(seconds.Draw(t, "hold")) * time.Second, Fall: time.Duration(seconds.Draw(t, "fall")) * time.Second,
			Curve: rapid.SampledFrom([]float64{0, .5, 1, 3}).Draw(t, "curve"),
		}
		before := 0.0
		for at := time.Duration(0); at < f.End()+time.Second; at += 100 * time.Millisecond {
			s := f.Strength(at)
			switch {
			case s < 0 || s > 1:
				t.Fatalf("strength %v at %v", s, at)
			case at < f.Start && s != 0, at >= f.End() && s != 0:
				t.Fatalf("strength %v at %v, outside", s, at)
			case at < f.Start+f.Rise && s < before, at > f.Start+f.Rise+f.Hold && s > before:
				t.Fatalf("strength goes from %v to %v at %v", before, s, at)
			}
			before = s
		}
	})
}
