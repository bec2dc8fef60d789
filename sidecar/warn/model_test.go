package warn_test

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

func TestFeaturesHaveNamesOfTheirOwn(t *testing.T) {
	names := map[string]bool{}
	for _, n := range warn.FeatureNames {
		names[n] = true
	}
	if len(names) != len(warn.FeatureNames) {
		t.Errorf("%d names for %d features: %v", len(names), len(warn.FeatureNames), slices.Sorted(maps.Keys(names)))
	}
}

// Whoever fits a model sees each moment at which something may be wrong, for each
// depth once, and figures that can be compared.
func TestObservationsAreOfEachDepthAndFinite(t *testing.T) {
	seen := map[float64]int{}
	all := samples(hold(film(time.Minute, 30, time.Millisecond, 1), 20*time.Second, 3*time.Second), time.Minute)
	d := warn.New(warn.Options{Observe: func(o warn.Observation) {
		seen[o.Buffer]++
		for i, v := range o.Features {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("%s is %v", warn.FeatureNames[i], v)
			}
		}
	}}, stream)
	for _, s := range all {
		d.Step(s)
	}
	for _, b := range warn.DefaultBuffers() {
		if n := seen[b.Seconds()]; n < 25 || n > len(all)/2 {
			t.Errorf("%d observations at %v, of %d samples with 3 s of silence", n, b, len(all))
		}
	}
}

// The longer nothing comes, the surer it is that a viewer with a buffer will
// wait, and just before it does the model is.
func TestConfidenceGrowsWithSilence(t *testing.T) {
	all := samples(hold(film(time.Minute, 30, time.Millisecond, 1), 20*time.Second, 6*time.Second), time.Minute)
	d := warn.New(warn.Options{}, stream)
	early, late := 0.0, 0.0
	for i, s := range all {
		v, _ := d.Step(s)
		for _, f := range v.Forecasts {
			switch {
			case f.Buffer != 4:
			case i == 203:
				early = f.Confidence
			case i == 238:
				late = f.Confidence
			}
		}
	}
	if early >= late || late < .8 {
		t.Errorf("after 0.3 s of silence %.2f, after 3.8 s %.2f", early, late)
	}
}
