package serve

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/sidecar/qos"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

func lagging(at time.Time, lags map[string]float64) *status.Status {
	st := &status.Status{At: at}
	for key, lag := range lags {
		s := status.Stream{Key: key, Window: qos.Window{LagSeconds: sample.Of(lag)}}
		s.Verdict.Forecasts = []warn.Forecast{{Buffer: 1, Left: sample.Of(1 - lag)}, {Buffer: 2, Left: sample.Of(2 - lag)}}
		st.Streams = append(st.Streams, s)
	}
	return st
}

// Against a plain list of all that was ever added.
func TestThePlotHasTheWorstOfEachSecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory()
		now := int64(1767225600)
		worst := map[int64]map[string]float64{} // by second, "" for all
		for range rapid.IntRange(1, 60).Draw(t, "statuses") {
			now += rapid.SampledFrom([]int64{0, 0, 1, 2, 300, 700}).Draw(t, "passed")
			lags := map[string]float64{}
			for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.ID).Draw(t, "streams") {
				lags[key] = float64(rapid.IntRange(0, 3000).Draw(t, "lag")) / 1000
			}
			h.add(lagging(time.Unix(now, 0), lags))
			if worst[now] == nil {
				worst[now] = map[string]float64{}
			}
			for key, lag := range lags {
				for _, of := range []string{key, ""} {
					if have, known := worst[now][of]; !known || lag > have {
						worst[now][of] = lag
					}
				}
			}
		}
		for _, key := range []string{"", "a", "b"} {
			p := h.plot(key)
			if !p.Kept {
				continue
			}
			if len(p.Lag) != historySeconds || len(p.Loss) != historySeconds || len(p.Health) != historySeconds {
				t.Fatalf("%d points", len(p.Lag))
			}
			for i, lag := range p.Lag {
				second := now - historySeconds + 1 + int64(i)
				want, known := worst[second][key]
				got, has := lag.Get()
				if known != has || math.Abs(got-want) > .002 {
					t.Fatalf("%q at %d: %v %v, want %v %v", key, second-now, got, has, want, known)
				}
				for _, c := range p.Left {
					if left, has := c.Left[i].Get(); has != known || (has && math.Abs(left-(c.Buffer-want)) > .002) {
						t.Fatalf("%q at %d: %v left of %v", key, second-now, left, c.Buffer)
					}
				}
			}
		}
	})
}

func TestThePlotTakesOddFigures(t *testing.T) {
	h := newHistory()
	for i, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -5, 1e300, 0} {
		h.add(lagging(time.Unix(1767225600+int64(i), 0), map[string]float64{"a": v}))
	}
	if _, err := json.Marshal(h.plot("a")); err != nil {
		t.Error(err)
	}
}

func TestTheClockMayGoBack(t *testing.T) {
	h := newHistory()
	h.add(lagging(time.Unix(2000000000, 0), map[string]float64{"a": 1}))
	h.add(lagging(time.Unix(1999999990, 0), map[string]float64{"a": 2})) // by a little: waits
	if lag, _ := h.plot("a").Lag[historySeconds-1].Get(); lag != 1 {
		t.Errorf("the newest is %v", lag)
	}
	h.add(lagging(time.Unix(1767225600, 0), map[string]float64{"a": 3})) // for good: begins anew
	p := h.plot("a")
	if lag, _ := p.Lag[historySeconds-1].Get(); lag != 3 || !p.End.Equal(time.Unix(1767225600, 0)) {
		t.Errorf("the newest is %v at %v", lag, p.End)
	}
}

func TestPlotsOfStreamsAreBounded(t *testing.T) {
	h := newHistory()
	now := time.Unix(1767225600, 0)
	lags := map[string]float64{}
	for i := range 2 * historyStreams {
		lags[fmt.Sprint(i)] = .1
	}
	h.add(lagging(now, lags))
	if len(h.streams) != historyStreams {
		t.Errorf("%d streams have plots", len(h.streams))
	}
	// Others get the room of those that ended.
	h.add(lagging(now.Add(time.Minute), map[string]float64{"new": 1}))
	if !h.plot("new").Kept || len(h.streams) > historyStreams {
		t.Error("a new stream finds no room where all others ended")
	}
	if h.plot("nobody").Kept {
		t.Error("a stream that never was has a plot")
	}
}

func TestThePlotShowsWhatTheKernelDropped(t *testing.T) {
	h := newHistory()
	for i, totals := range []status.Totals{
		{Packets: 1000, KernelDrops: 50},
		{Packets: 2000, KernelDrops: 300}, // a quarter
		{Packets: 3000, KernelDrops: 300},
		{Packets: 3000, KernelDrops: 300}, // nothing came: not known
		{Packets: 100, KernelDrops: 0},    // it began anew
	} {
		h.add(&status.Status{At: time.Unix(1767225600+int64(i), 0), Streams: []status.Stream{{Key: "a", Totals: totals}}})
	}
	var got []float64
	for _, f := range h.plot("a").Dropped[historySeconds-5:] {
		got = append(got, f.Or(-1))
	}
	if want := []float64{-1, .25, 0, -1, -1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
