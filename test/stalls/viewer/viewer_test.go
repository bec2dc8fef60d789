package viewer_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/test/stalls/relay"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

const (
	ms       = time.Millisecond
	interval = 40 * ms
)

// stream returns one of 25 frames a second whose frames are read so many
// milliseconds after they are taken; a negative number is a frame never read.
func stream(late ...int) relay.Stream {
	s := relay.Stream{Stream: scenario.Stream{Interval: interval, Media: scenario.Video}, Sessions: []relay.Session{{}}}
	for i, l := range late {
		f := relay.Frame{Key: i == 0, Taken: time.Duration(i) * interval, Media: time.Duration(i) * interval, Packets: 1, Read: 1}
		f.ReadAt = f.Taken + time.Duration(l)*ms
		if l < 0 {
			f.Read = 0
		}
		s.Frames = append(s.Frames, f)
	}
	return s
}

func repeat(n, v int) []int { return slices.Repeat([]int{v}, n) }

func TestEpisodes(t *testing.T) {
	calm := repeat(50, 0)
	for _, c := range []struct {
		name  string
		late  []int
		depth time.Duration
		until time.Duration
		want  []viewer.Episode
	}{
		{"nothing is late", calm, 200 * ms, 2 * time.Second, nil},
		{"late within the buffer", slices.Concat(calm, repeat(5, 190), calm), 200 * ms, 4 * time.Second, nil},
		// The 50th frame is due at 2200 ms and comes at 2500; the one before was shown at 2160.
		{"late beyond the buffer", slices.Concat(calm, []int{500, 460, 420, 380, 340, 300, 260, 220}, calm), 200 * ms, 4 * time.Second,
			[]viewer.Episode{{Start: 2200 * ms, End: 2500 * ms, Stalls: 1, Stalled: 300 * ms}}},
		{"late by less than a stall takes", slices.Concat(calm, []int{340, 300, 260, 220}, calm), 200 * ms, 4 * time.Second, nil},
		{"three frames lost", slices.Concat(calm, repeat(3, -1), calm), 200 * ms, 4 * time.Second, nil},
		{"four frames lost", slices.Concat(calm, repeat(4, -1), calm), 200 * ms, 4 * time.Second,
			[]viewer.Episode{{Start: 2200 * ms, End: 2360 * ms, Stalls: 1, Stalled: 160 * ms}}},
		{"lost twice, near to each other", slices.Concat(calm, repeat(4, -1), calm, repeat(4, -1), calm), 200 * ms, 8 * time.Second,
			[]viewer.Episode{{Start: 2200 * ms, End: 4520 * ms, Stalls: 2, Stalled: 320 * ms}}},
		{"lost twice, far from each other", slices.Concat(calm, repeat(4, -1), repeat(150, 0), repeat(4, -1), calm), 200 * ms, 20 * time.Second,
			[]viewer.Episode{{Start: 2200 * ms, End: 2360 * ms, Stalls: 1, Stalled: 160 * ms}, {Start: 8360 * ms, End: 8520 * ms, Stalls: 1, Stalled: 160 * ms}}},
		{"the end of the stream", calm, 200 * ms, 4 * time.Second, nil},
	} {
		if c.name == "the end of the stream" {
			c.want = []viewer.Episode{{Start: 2200 * ms, End: 4 * time.Second, Stalls: 1, Stalled: 1800 * ms}}
		} else {
			// What comes after is of no interest here.
			for range 500 {
				c.late = append(c.late, 0)
			}
		}
		got := viewer.Episodes(stream(c.late...), viewer.Conceal, c.depth, c.until)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestPlayoutBeginsWithFirstWholeKeyFrame(t *testing.T) {
	s := stream(repeat(500, 0)...)
	// The first key frame is not whole; the second is 30 ms late, which all later
	// frames inherit: 100 ms of depth are 130.
	s.Frames[0].Read = 0
	s.Frames[10].Key = true
	s.Frames[10].ReadAt += 30 * ms
	s.Frames[100].ReadAt += 125 * ms
	for i := range 6 {
		s.Frames[200+i].ReadAt = s.Frames[205].ReadAt + 100*ms
	}
	got := viewer.Episodes(s, viewer.Conceal, 100*ms, 15*time.Second)
	want := []viewer.Episode{{Start: s.Frames[200].Taken + 130*ms, End: s.Frames[205].Taken + 100*ms, Stalls: 1, Stalled: 170 * ms}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestPlayerThatFreezesWaitsForTheNextKeyFrame(t *testing.T) {
	s := stream(repeat(500, 0)...)
	s.Frames[50].Read = 0
	s.Frames[75].Key = true
	if got := viewer.Episodes(s, viewer.Conceal, 200*ms, 15*time.Second); len(got) != 0 {
		t.Errorf("one who conceals stalls: %+v", got)
	}
	want := []viewer.Episode{{Start: 2200 * ms, End: 3200 * ms, Stalls: 1, Stalled: time.Second}}
	if got := viewer.Episodes(s, viewer.Freeze, 200*ms, 15*time.Second); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// naive walks a clock through a session and remembers when the picture changed.
func naive(frames []relay.Frame, nominal, depth, until time.Duration) []viewer.Episode {
	var anchor *relay.Frame
	for i := range frames {
		if frames[i].Key && frames[i].Read == frames[i].Packets {
			anchor = &frames[i]
			break
		}
	}
	if anchor == nil {
		return nil
	}
	var pending []relay.Frame
	found := false
	for i := range frames {
		found = found || &frames[i] == anchor
		if f := frames[i]; found && f.Read == f.Packets && f.Media >= anchor.Media {
			pending = append(pending, f)
		}
	}
	threshold := nominal + 150*ms
	if 3*nominal > threshold {
		threshold = 3 * nominal
	}
	var (
		episodes []viewer.Episode
		changed  time.Duration
		playing  bool
	)
	for now := anchor.ReadAt; len(pending) > 0; now += ms {
		before := len(pending)
		pending = slices.DeleteFunc(pending, func(f relay.Frame) bool {
			return now >= anchor.ReadAt+depth+f.Media-anchor.Media && now >= f.ReadAt
		})
		if len(pending) == before {
			continue
		}
		if playing && now-changed >= threshold && changed+nominal < until {
			e := viewer.Episode{Start: changed + nominal, End: min(now, until)}
			if n := len(episodes); n > 0 && e.Start-episodes[n-1].End < 5*time.Second {
				episodes[n-1].End = e.End
			} else {
				episodes = append(episodes, e)
			}
		}
		changed, playing = now, true
	}
	return episodes
}

func TestTruthAgreesWithNaivePlayout(t *testing.T) {
	compared := 0
	for seed := range uint64(4) {
		const length = 45 * time.Second
		s, err := scenario.Draw(seed, 5*time.Minute, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range s.Groups {
			for i := range g.Streams {
				g.Streams[i].Start = -100 * ms
			}
			// All that goes wrong in minutes goes wrong at once.
			for i := range g.Faults {
				g.Faults[i].Start = 5*time.Second + g.Faults[i].Start%(25*time.Second)
			}
			slices.SortFunc(g.Faults, func(a, b scenario.Fault) int { return cmp.Compare(a.Start, b.Start) })
			for _, stream := range relay.Run(g, length).Streams {
				if len(stream.Sessions) != 1 || stream.Media != scenario.Video || stream.Frames[len(stream.Frames)-1].Taken < length {
					continue
				}
				for _, depth := range []time.Duration{200 * ms, time.Second} {
					got, want := viewer.Episodes(stream, viewer.Conceal, depth, length), naive(stream.Frames, stream.Interval, depth, length)
					if !slices.EqualFunc(got, want, near) {
						// A gap within 2 ms of a stall is one for the one and none for the other.
						if borderline(stream, depth) {
							continue
						}
						t.Errorf("seed %d, %s, depth %v:\n%v, naively\n%v", seed, stream.Dst, depth, got, want)
					}
					compared += len(got)
				}
			}
		}
	}
	if compared < 10 {
		t.Errorf("only %d episodes compared", compared)
	}
}

func near(a, b viewer.Episode) bool {
	return (a.Start-b.Start).Abs() <= 2*ms && (a.End-b.End).Abs() <= 2*ms
}

func borderline(s relay.Stream, depth time.Duration) bool {
	var shown []time.Duration
	key := slices.IndexFunc(s.Frames, func(f relay.Frame) bool { return f.Key && f.Complete() })
	for _, f := range s.Frames[max(key, 0):] {
		if f.Complete() {
			shown = append(shown, max(s.Frames[key].ReadAt+depth+f.Media-s.Frames[key].Media, f.ReadAt))
		}
	}
	slices.Sort(shown)
	for i := 1; i < len(shown); i++ {
		if (shown[i] - shown[i-1] - viewer.Threshold(s.Interval)).Abs() <= 2*ms {
			return true
		}
	}
	return false
}

func TestMoreDepthNeverMeansMoreStalledTimeIfNothingIsMissing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		late := repeat(10, 0)
		at := 0
		for _, l := range rapid.SliceOfN(rapid.IntRange(0, 3000), 20, 200).Draw(t, "late") {
			// In order: none is read before the one before it.
			at = max(at-40, 0)
			if l > 2700 {
				at = max(at, l)
			}
			late = append(late, at)
		}
		s := stream(append(late, repeat(200, 0)...)...)
		// The last ones are late until the order allows that they are not.
		for i := 1; i < len(s.Frames); i++ {
			s.Frames[i].ReadAt = max(s.Frames[i].ReadAt, s.Frames[i-1].ReadAt)
		}
		before := time.Duration(1 << 62)
		for _, depth := range viewer.Depths {
			stalled := time.Duration(0)
			for _, e := range viewer.Episodes(s, viewer.Conceal, depth, s.Frames[len(s.Frames)-1].Taken) {
				stalled += e.Stalled
			}
			if stalled > before {
				t.Fatalf("%v at depth %v, %v with the one before", stalled, depth, before)
			}
			before = stalled
		}
	})
}

func TestEpisodesAreApart(t *testing.T) {
	for seed := range uint64(3) {
		s, err := scenario.Draw(seed, 5*time.Minute, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range s.Groups {
			for _, stream := range relay.Run(g, s.Duration).Streams {
				for _, depth := range viewer.Depths {
					episodes := viewer.Episodes(stream, viewer.Conceal, depth, s.Duration)
					for i, e := range episodes {
						if e.End <= e.Start || e.Stalled > e.End-e.Start+time.Microsecond || i > 0 && e.Start-episodes[i-1].End < viewer.Join {
							t.Errorf("seed %d depth %v: %+v", seed, depth, episodes)
						}
					}
				}
			}
		}
	}
}

func TestFaultToBlameIsTheOneThatWasThere(t *testing.T) {
	fault := func(start, end time.Duration) scenario.Fault {
		return scenario.Fault{Kind: scenario.OutageQueue, Stream: scenario.All, Start: start, Hold: end - start}
	}
	first, second := fault(10*time.Second, 12*time.Second), fault(40*time.Second, 41*time.Second)
	anomalies := []time.Duration{10100 * ms, 11 * time.Second, 12500 * ms, 40200 * ms}
	if !slices.IsSorted(anomalies) {
		t.Fatal("not sorted")
	}
	for _, c := range []struct {
		start   time.Duration
		want    scenario.Fault
		anomaly time.Duration
		ok      bool
	}{
		{9 * time.Second, scenario.Fault{}, 0, false},
		{10500 * ms, first, 10100 * ms, true},
		{15 * time.Second, first, 10100 * ms, true},
		{30 * time.Second, scenario.Fault{}, 0, false},
		{42 * time.Second, second, 40200 * ms, true},
	} {
		got, anomaly, ok := viewer.Blame([]scenario.Fault{first, second}, 0, anomalies, c.start, 2*time.Second)
		if got != c.want || anomaly != c.anomaly || ok != c.ok {
			t.Errorf("at %v: %+v %v %v", c.start, got, anomaly, ok)
		}
	}
}

func TestFirstAnomalyIsNoLaterThanAnyEpisode(t *testing.T) {
	blamed := 0
	for seed := range uint64(5) {
		s, err := scenario.Draw(seed, 5*time.Minute, 6)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range s.Groups {
			r := relay.Run(g, s.Duration)
			for _, stream := range r.Streams {
				anomalies := viewer.Anomalies(r, stream, s.Duration)
				if !slices.IsSortedFunc(anomalies, cmp.Compare[time.Duration]) {
					t.Fatal("anomalies are not sorted")
				}
				for _, e := range viewer.Episodes(stream, viewer.Conceal, time.Second, s.Duration) {
					fault, anomaly, ok := viewer.Blame(g.Faults, stream.Number, anomalies, e.Start, time.Second)
					if !ok {
						continue
					}
					blamed++
					if anomaly > e.Start || anomaly < fault.Start {
						t.Errorf("seed %d %s: first anomaly at %v, fault %+v, episode %+v", seed, stream.Dst, anomaly, fault, e)
					}
				}
			}
		}
	}
	if blamed == 0 {
		t.Error("no episode had a fault to blame")
	}
}
