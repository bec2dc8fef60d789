package clock_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

func TestWallAgreesWithTheWallClock(t *testing.T) {
	wall := clock.SampleWall()
	before := time.Now()
	shown := wall.Time(clock.Now())
	after := time.Now()
	// The sample itself is right within half of what its two reads took.
	const slack = time.Millisecond
	if shown.Before(before.Add(-slack)) || shown.After(after.Add(slack)) {
		t.Errorf("%v is not between %v and %v", shown, before, after)
	}
	k := clock.Now()
	if back := wall.Ktime(wall.Time(k)); back != k {
		t.Errorf("%d became %d on its way to the wall clock and back", k, back)
	}
}

// A moment has a timestamp, and that timestamp the same moment, to a tick, for
// hours in both directions and across the timestamp's wrap.
func TestTimestampsAndMomentsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := clock.RTP{
			Ktime:     clock.Ktime(rapid.Uint64Range(1e14, 1e16).Draw(t, "ktime")),
			Timestamp: rapid.Uint32().Draw(t, "timestamp"),
			Rate:      rapid.SampledFrom([]uint32{8000, 44100, 48000, 90000}).Draw(t, "rate"),
		}
		away := time.Duration(rapid.Int64Range(-int64(6*time.Hour), int64(6*time.Hour)).Draw(t, "away"))
		moment := r.Ktime + clock.Ktime(away)
		tick := time.Second/time.Duration(r.Rate) + 1
		if off := time.Duration(r.Time(r.At(moment)) - moment); off.Abs() > tick {
			t.Fatalf("%v away, the timestamp's moment is off by %v, a tick is %v", away, off, tick)
		}
	})
}

func TestUnknownRateGivesTheReference(t *testing.T) {
	r := clock.RTP{Ktime: 5, Timestamp: 7}
	if r.Time(1000) != 5 || r.At(1e9) != 7 {
		t.Errorf("got %d and %d", r.Time(1000), r.At(1e9))
	}
}

func TestNTP(t *testing.T) {
	for ntp, want := range map[uint64]time.Time{
		2208988800 << 32:                time.Unix(0, 0),
		0xe0000000_80000000:             time.Unix(0xe0000000-2208988800, 500_000_000),
		(2208988800+1)<<32 | 0xffffffff: time.Unix(1, 999_999_999),
	} {
		if got := clock.NTP(ntp); !got.Equal(want) {
			t.Errorf("%#x is %v, not %v", ntp, got, want)
		}
	}
}
