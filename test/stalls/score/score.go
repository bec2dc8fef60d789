package score

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// AllKinds is the row over all kinds of faults, Calm that of wrong alerts while
// nothing was wrong.
const (
	AllKinds = "all"
	Calm     = "calm"
)

// Prompt is how soon a burst of loss has to be told of, in seconds.
const Prompt = .25

// Row is the figures of one depth and kind of fault.
type Row struct {
	Depth    float64
	Kind     string
	Episodes int
	Foreseen int
	// Right and Wrong count alerts. A wrong one belongs to the fault under way
	// when it was raised, or up to 15 s before.
	Right, Wrong int
	// chance is how many episodes random alerts would foresee.
	chance float64
	leads  []float64
	shares []float64 // lead over limit
}

// Table is the result over one or more captures.
type Table struct {
	rows map[[2]any]*Row
	// Hours are stream-hours, of video only.
	Hours      float64
	CleanHours float64 // of streams without any fault
	// Missed has each episode without a stall line, of all Episodes.
	Missed   []string
	Episodes int
	// Unfounded counts stall lines with no stall near; Stalls all of them.
	Unfounded, Stalls int
	// CleanDegraded counts degraded lines on streams without any fault; Degraded
	// all of them.
	CleanDegraded, Degraded int
	// Latencies are from the first drop of each burst to the degraded line, in
	// seconds; KnownLatencies from when the third drop could be known.
	Latencies, KnownLatencies []float64
	// Bursts are all, Prompt those told of in time.
	Bursts, Prompt int
	// Faulty has a line for each wrong alert and each unforeseen episode.
	Faulty []string
	// Strangers counts alerts about no video stream of the truth.
	Strangers int
	// causes counts whom right lines blame, by the fault's kind.
	causes map[blamed]int
}

func (t *Table) row(depth float64, kind string) *Row {
	key := [2]any{depth, kind}
	if t.rows == nil {
		t.rows = map[[2]any]*Row{}
	}
	if t.rows[key] == nil {
		t.rows[key] = &Row{Depth: depth, Kind: kind}
	}
	return t.rows[key]
}

// Rows returns all rows, by depth and then kind; AllKinds first.
func (t *Table) Rows() []*Row {
	var rows []*Row
	for _, r := range t.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *Row) int {
		return cmp.Or(cmp.Compare(a.Depth, b.Depth), -cmp.Compare(b2i(a.Kind == AllKinds), b2i(b.Kind == AllKinds)), cmp.Compare(a.Kind, b.Kind))
	})
	return rows
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Row returns one row; an empty one if there is none.
func (t *Table) Row(depth float64, kind string) Row {
	if r := t.rows[[2]any{depth, kind}]; r != nil {
		return *r
	}
	return Row{Depth: depth, Kind: kind}
}

// Recall is the share of episodes that were foreseen, Precision that of alerts
// that were right; 1 where there are none.
func (r Row) Recall() float64    { return share(r.Foreseen, r.Episodes) }
func (r Row) Precision() float64 { return share(r.Right, r.Right+r.Wrong) }

// Chance is the recall of alerts at random times.
func (r Row) Chance() float64 {
	if r.Episodes == 0 {
		return 0
	}
	return r.chance / float64(r.Episodes)
}

// Lead returns a quantile of the leads, LeadOverLimit the median of its share of
// what was possible.
func (r Row) Lead(q float64) float64 { sort.Float64s(r.leads); return quantile(r.leads, q) }
func (r Row) LeadOverLimit() float64 { sort.Float64s(r.shares); return quantile(r.shares, .5) }

func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// Add judges the alerts about one capture.
func (t *Table) Add(truth record.Truth, alerts []Alert) {
	known := map[string]int{}
	for i, s := range truth.Streams {
		for _, ssrc := range s.SSRCs {
			known[fmt.Sprint(s.Stream, s.Src, ssrc)] = i
		}
	}
	of := make([][]Alert, len(truth.Streams))
	for _, a := range alerts {
		i, ok := known[fmt.Sprint(a.Stream, a.Src, a.SSRC)]
		if !ok {
			t.Strangers++
			continue
		}
		of[i] = append(of[i], a)
	}
	random := rand.New(rand.NewPCG(truth.Seed, 99))
	for i, s := range truth.Streams {
		if s.Media != scenario.Video {
			continue
		}
		hours := (s.To - s.From) / 3600
		t.Hours += hours
		if len(s.Faults) == 0 {
			t.CleanHours += hours
		}
		slices.SortStableFunc(of[i], func(a, b Alert) int { return cmp.Compare(a.At, b.At) })
		for _, depth := range truth.Depths {
			t.predictions(s, of[i], depth, truth.Duration, random)
			t.stalls(s, of[i], depth, truth.Duration)
			t.blame(of[i], depth, episodesAt(s, depth))
		}
		t.degraded(s, of[i], truth.Duration)
	}
}

func (t *Table) predictions(s record.Stream, alerts []Alert, depth, duration float64, random *rand.Rand) {
	var raises []raise
	for _, a := range alerts {
		if a.Kind == Predicted && a.Buffer == depth {
			raises = append(raises, raiseOf(a))
		}
	}
	episodes := episodesAt(s, depth)
	v := judge(raises, episodes, duration)
	for _, kind := range []string{AllKinds, ""} {
		for i, e := range episodes {
			r := t.row(depth, cmp.Or(kind, e.Fault))
			r.Episodes++
			if v.foreseen[i] {
				r.Foreseen++
			} else if kind == AllKinds {
				t.Faulty = append(t.Faulty, fmt.Sprintf("unforeseen: %s %s buffer %gs at %.2fs for %.2fs (%s, first anomaly %.2fs before)", s.Stream, s.Src, depth, e.Start, e.End-e.Start, e.Fault, e.Limit))
			}
			r.leads = append(r.leads, v.lead[i])
			if e.Limit > 0 {
				r.shares = append(r.shares, v.lead[i]/e.Limit)
			}
		}
		for _, a := range v.alerts {
			if i, right := a.about(episodes); right {
				t.row(depth, cmp.Or(kind, episodes[i].Fault)).Right++
			}
		}
		for _, at := range v.wrong {
			t.row(depth, cmp.Or(kind, underWay(s, at))).Wrong++
			if kind == AllKinds {
				t.Faulty = append(t.Faulty, fmt.Sprintf("wrong: %s %s buffer %gs at %.2fs (%s)", s.Stream, s.Src, depth, at, underWay(s, at)))
			}
		}
	}
	t.row(depth, AllKinds).chance += chance(v.alerts, episodes, s.From, s.To, random)
}

// underWay returns the kind of the fault that a wrong alert is due to.
func underWay(s record.Stream, at float64) string {
	found := Calm
	for _, f := range s.Faults {
		if f.Start <= at && at <= f.End+15 {
			found = string(f.Kind)
			if f.Blip {
				found = record.BlameBlip
			}
		}
	}
	return found
}

func episodesAt(s record.Stream, depth float64) []record.Episode {
	var episodes []record.Episode
	for _, e := range s.Episodes {
		if e.Buffer == depth {
			episodes = append(episodes, e)
		}
	}
	return episodes
}

// stalls looks for the line that each episode gets at least: from half a second
// before it starts until a second after its end.
func (t *Table) stalls(s record.Stream, alerts []Alert, depth, duration float64) {
	episodes := episodesAt(s, depth)
	t.Episodes += len(episodes)
	told := make([]bool, len(episodes))
	for _, a := range alerts {
		if a.Kind != Stalled || a.Buffer != depth {
			continue
		}
		t.Stalls++
		founded := false
		for i, e := range episodes {
			if a.At >= e.Start-.5 && a.At <= e.End+1 {
				told[i], founded = true, true
			}
		}
		if !founded {
			t.Unfounded++
		}
	}
	for i, e := range episodes {
		if !told[i] && e.End < duration-1 {
			t.Missed = append(t.Missed, fmt.Sprintf("%s buffer %gs at %.2fs for %.2fs (%s)", s.Stream, depth, e.Start, e.End-e.Start, e.Fault))
		}
	}
}

func (t *Table) degraded(s record.Stream, alerts []Alert, duration float64) {
	var lines []float64
	for _, a := range alerts {
		if a.Kind == Degraded {
			lines = append(lines, a.At)
			t.Degraded++
			if len(s.Faults) == 0 {
				t.CleanDegraded++
			}
		}
	}
	// Only the first burst in ten seconds has to be told of.
	last := -Window
	for _, b := range s.Bursts {
		fresh := b.First-last > Window && b.Known < duration-1
		last = b.First
		if !fresh {
			continue
		}
		t.Bursts++
		if at, ok := slices.BinarySearch(lines, b.First); ok || at < len(lines) && lines[at] <= b.Known+Window {
			t.Latencies = append(t.Latencies, lines[at]-b.First)
			t.KnownLatencies = append(t.KnownLatencies, lines[at]-b.Known)
			if lines[at]-b.Known <= Prompt {
				t.Prompt++
			}
		}
	}
}
