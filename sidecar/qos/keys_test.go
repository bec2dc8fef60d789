package qos

import (
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

func TestKeyFrameGapGrowsUntilTheNextKeyFrame(t *testing.T) {
	m, c := New(), &camera{interval: 40 * time.Millisecond, arrive: at}
	w := run(m, c, 0, time.Second, func(s *sample.Sample) { s.Media.Keys = sample.Keys{Known: true} })
	if w.KeyFrameGapSeconds.Why() != noKeyYet.Why() || w.KeysNeed() != "" {
		t.Errorf("%+v", w.KeyFrameGapSeconds)
	}
	w = run(m, c, time.Second, 3*time.Second, func(s *sample.Sample) {
		s.Media.Keys = sample.Keys{Known: true, At: start + clock.Ktime(time.Second)}
		if s.At == start+clock.Ktime(1100*time.Millisecond) {
			s.Media.Keys.Count, s.Media.Keys.GOP, s.Media.Keys.GOPFrames = 1, 2*time.Second, 50
		}
	})
	near(t, "gap", w.KeyFrameGapSeconds, 2, 1e-9)
	near(t, "GOP", w.GOPSeconds, 2, 1e-9)
	near(t, "frames", w.GOPFrames, 50, 0)
	if w.KeysNeed() != "" {
		t.Errorf("%q", w.KeysNeed())
	}
	w = run(m, c, 3*time.Second, 4*time.Second, func(s *sample.Sample) { s.Media.Keys.Why = "encrypted" })
	if w.GOPSeconds.Why() != "encrypted" || w.KeyFrameGapSeconds.Why() != "encrypted" || w.KeysNeed() != "encrypted" {
		t.Errorf("%+v", w)
	}
}
