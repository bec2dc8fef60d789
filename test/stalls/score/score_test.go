package score

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

func episode(start, end, limit float64) record.Episode {
	return record.Episode{Buffer: 2, Start: start, End: end, Limit: limit, FirstAnomaly: start - limit, Fault: "squeeze-step"}
}

func raisesAt(times ...float64) []raise {
	var raises []raise
	for _, at := range times {
		raises = append(raises, raise{at, at + Window})
	}
	return raises
}

func TestRulesOfTheJudge(t *testing.T) {
	one := []record.Episode{episode(100, 105, 8)}
	two := []record.Episode{episode(100, 105, 8), episode(115, 116, 8)}
	for _, c := range []struct {
		name     string
		raises   []raise
		episodes []record.Episode
		alerts   int
		right    int
		wrong    int
		lead     []float64
	}{
		{"none", nil, one, 0, 0, 0, []float64{0}},
		{"in time", raisesAt(95), one, 1, 1, 0, []float64{5}},
		{"ten seconds before", raisesAt(90), one, 1, 1, 0, []float64{8}},
		{"too early", raisesAt(89.9), one, 1, 0, 1, []float64{0}},
		{"earlier, with an eta", []raise{raiseOf(Alert{At: 80, ETA: 25})}, one, 1, 1, 0, []float64{8}},
		{"earlier than an eta may be", []raise{raiseOf(Alert{At: 69, ETA: 40})}, one, 1, 0, 1, []float64{0}},
		{"an eta shorter than the window", []raise{raiseOf(Alert{At: 92, ETA: 1})}, one, 1, 1, 0, []float64{8}},
		{"repeated", raisesAt(80, 89, 97), one, 1, 1, 0, []float64{8}},
		{"repeated too late", raisesAt(80, 91), one, 2, 1, 1, []float64{8}},
		{"inside", raisesAt(100, 103, 105), one, 0, 0, 0, []float64{0}},
		{"after", raisesAt(106), one, 1, 0, 1, []float64{0}},
		{"the episode is between", raisesAt(97, 106), one, 2, 1, 1, []float64{3}},
		{"two episodes, one alert each", raisesAt(97, 107), two, 2, 2, 0, []float64{3, 8}},
		{"two alerts about one", []raise{raiseOf(Alert{At: 82, ETA: 20}), raiseOf(Alert{At: 96})}, one, 2, 2, 0, []float64{8}},
		{"the capture ends first", raisesAt(995), one, 1, 0, 0, []float64{0}},
	} {
		v := judge(c.raises, c.episodes, 1000)
		for i := range v.lead {
			v.lead[i] = math.Round(v.lead[i]*1e6) / 1e6
		}
		if len(v.alerts) != c.alerts || v.right != c.right || len(v.wrong) != c.wrong || !reflect.DeepEqual(v.lead, c.lead) {
			t.Errorf("%s: %d alerts, %d right, %d wrong, leads %v; want %d, %d, %d, %v", c.name, len(v.alerts), v.right, len(v.wrong), v.lead, c.alerts, c.right, c.wrong, c.lead)
		}
	}
}

func TestEachAlertIsRightOrWrongOrNeither(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var episodes []record.Episode
		at := 0.0
		for range rapid.IntRange(0, 8).Draw(t, "episodes") {
			at += 5 + rapid.Float64Range(0, 60).Draw(t, "pause")
			end := at + rapid.Float64Range(.1, 20).Draw(t, "length")
			episodes = append(episodes, episode(at, end, rapid.Float64Range(0, 30).Draw(t, "limit")))
			at = end
		}
		var raises []raise
		now := 0.0
		for range rapid.IntRange(0, 40).Draw(t, "raises") {
			now += rapid.Float64Range(0, 20).Draw(t, "after")
			raises = append(raises, raiseOf(Alert{At: now, ETA: rapid.Float64Range(0, 40).Draw(t, "eta")}))
		}
		v := judge(raises, episodes, 1e9)
		if v.right+len(v.wrong) != len(v.alerts) {
			t.Fatalf("%d right, %d wrong of %d", v.right, len(v.wrong), len(v.alerts))
		}
		foreseen := 0
		for i, e := range episodes {
			if v.foreseen[i] {
				foreseen++
			} else if v.lead[i] != 0 {
				t.Fatalf("unforeseen with a lead of %v", v.lead[i])
			}
			if v.lead[i] < 0 || v.lead[i] > e.Limit {
				t.Fatalf("lead %v, limit %v", v.lead[i], e.Limit)
			}
		}
		if foreseen > v.right {
			t.Fatalf("%d foreseen by %d alerts", foreseen, v.right)
		}
	})
}

func TestChanceGrowsWithTheNumberOfAlerts(t *testing.T) {
	var episodes []record.Episode
	for at := 50.0; at < 3600; at += 200 {
		episodes = append(episodes, episode(at, at+2, 4))
	}
	last := -1.0
	for _, n := range []int{0, 4, 40, 400} {
		var alerts []alert
		for i := range n {
			alerts = append(alerts, alert(raisesAt(float64(i*9))))
		}
		got := chance(alerts, episodes, 0, 3600, rand.New(rand.NewPCG(1, 1))) / float64(len(episodes))
		// Each covers Window of 3600 s.
		want := 1 - math.Pow(1-Window/3600, float64(n))
		if got <= last && n > 0 || math.Abs(got-want) > .1 {
			t.Errorf("%d alerts: %.3f, want about %.3f", n, got, want)
		}
		last = got
	}
}

// truth is of one stream of an hour with one episode, of 2 s depth.
func truth() record.Truth {
	return record.Truth{Seed: 1, Start: record.Start, Duration: 3600, Depths: []float64{2}, Streams: []record.Stream{
		{
			Stream: "10.2.0.1:5004", Src: "10.1.0.1:6000", SSRCs: []uint32{7, 8}, Media: scenario.Video, To: 3600,
			Faults:   []record.Fault{{Kind: scenario.SqueezeStep, Start: 90, End: 120}},
			Episodes: []record.Episode{episode(100, 105, 8)},
			Bursts:   []record.Burst{{First: 95, Known: 95.1}, {First: 96, Known: 96.1}, {First: 500, Known: 500.1}},
		},
		{Stream: "10.2.0.1:5006", Src: "10.1.0.1:6002", SSRCs: []uint32{9}, Media: scenario.Audio, To: 3600},
		{Stream: "10.2.0.2:5004", Src: "10.1.0.2:6000", SSRCs: []uint32{7}, Media: scenario.Video, To: 3600},
	}}
}

const lines = `{"ts":"2026-01-01T00:01:35.2Z","stream":"10.2.0.1:5004","src":"10.1.0.1:6000","ssrc":7,"kind":"degraded","cause":"network","evidence":{}}
{"ts":"2026-01-01T00:01:36Z","stream":"10.2.0.1:5004","src":"10.1.0.1:6000","ssrc":8,"kind":"stall-predicted","buffer_s":2,"eta_s":3.5,"evidence":{}}
{"ts":"2026-01-01T00:01:40.3Z","stream":"10.2.0.1:5004","src":"10.1.0.1:6000","ssrc":8,"kind":"stall","buffer_s":2,"evidence":{}}
{"ts":"2026-01-01T00:02:10Z","stream":"10.2.0.1:5004","src":"10.1.0.1:6000","ssrc":7,"kind":"stall-predicted","buffer_s":2,"evidence":{}}
{"ts":"2026-01-01T00:10:00Z","stream":"10.2.0.2:5004","src":"10.1.0.2:6000","ssrc":7,"kind":"stall-predicted","buffer_s":2,"evidence":{}}
{"ts":"2026-01-01T00:10:01Z","stream":"10.2.0.2:5004","src":"10.1.0.2:6000","ssrc":7,"kind":"stall","buffer_s":2,"evidence":{}}
{"ts":"2026-01-01T00:10:02Z","stream":"10.2.0.2:5004","src":"10.1.0.2:6000","ssrc":7,"kind":"degraded","evidence":{}}
{"ts":"2026-01-01T00:11:00Z","stream":"10.2.0.1:5006","src":"10.1.0.1:6002","ssrc":9,"kind":"stall-predicted","buffer_s":2,"evidence":{}}
{"ts":"2026-01-01T00:12:00Z","stream":"10.2.0.9:5006","src":"10.1.0.1:6002","ssrc":9,"kind":"stall-predicted","buffer_s":2,"evidence":{}}
`

func TestTableCountsWhatTheLinesSay(t *testing.T) {
	alerts, err := ReadAlerts(strings.NewReader(lines), record.Start)
	if err != nil {
		t.Fatal(err)
	}
	var table Table
	table.Add(truth(), alerts)
	all := table.Row(2, AllKinds)
	if all.Episodes != 1 || all.Foreseen != 1 || all.Right != 1 || all.Wrong != 2 || all.Lead(.5) != 4 || all.LeadOverLimit() != .5 {
		t.Errorf("all: %+v", all)
	}
	if r := table.Row(2, "squeeze-step"); r.Right != 1 || r.Wrong != 1 {
		t.Errorf("the fault's: %+v", r)
	}
	if r := table.Row(2, Calm); r.Wrong != 1 {
		t.Errorf("calm: %+v", r)
	}
	if table.Hours != 2 || table.CleanHours != 1 || table.Strangers != 1 {
		t.Errorf("%v hours, %v of them clean, %d strangers", table.Hours, table.CleanHours, table.Strangers)
	}
	if table.Stalls != 2 || table.Unfounded != 1 || len(table.Missed) != 0 {
		t.Errorf("%d stall lines, %d unfounded, missed %v", table.Stalls, table.Unfounded, table.Missed)
	}
	if table.Degraded != 2 || table.CleanDegraded != 1 || table.Bursts != 2 || len(table.Latencies) != 1 || math.Abs(table.Latencies[0]-.2) > 1e-9 {
		t.Errorf("%d degraded, %d clean, %d bursts, latencies %v", table.Degraded, table.CleanDegraded, table.Bursts, table.Latencies)
	}
	var out bytes.Buffer
	if err := table.Print(&out, "name", true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"name: 2.0 stream-hours", "squeeze-step", "calm", "alerts about no known stream: 1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestEpisodeWithoutStallLineIsNamed(t *testing.T) {
	var table Table
	table.Add(truth(), nil)
	if len(table.Missed) != 1 || !strings.Contains(table.Missed[0], "10.2.0.1:5004 buffer 2s at 100.00s") {
		t.Errorf("%q", table.Missed)
	}
}

func TestWrittenAlertsAreReadBack(t *testing.T) {
	want := Alert{At: 12.25, Stream: "10.2.0.1:5004", Src: "10.1.0.1:6000", SSRC: 9, Kind: Predicted, Buffer: .5}
	var b bytes.Buffer
	if err := WriteAlert(&b, want, record.Start); err != nil {
		t.Fatal(err)
	}
	got, err := ReadAlerts(&b, record.Start)
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMalformedAlertIsAnError(t *testing.T) {
	if _, err := ReadAlerts(strings.NewReader("{}\n{"), record.Start); err == nil || !strings.Contains(err.Error(), "alert 2") {
		t.Errorf("%v", err)
	}
}

// Lines about a squeeze blame the network, or should.
func TestBlameIsHeldAgainstTheSideOfTheFault(t *testing.T) {
	line := func(at float64, kind, cause string) Alert {
		return Alert{At: at, Stream: "10.2.0.1:5004", Src: "10.1.0.1:6000", SSRC: 9, Kind: kind, Buffer: 2, Cause: cause}
	}
	var table Table
	table.blame([]Alert{
		line(95, Predicted, "network"), line(96, Predicted, "camera"), line(97, Predicted, "unclear"), line(101, Stalled, "network"),
		line(50, Predicted, "node"), line(120, Stalled, "node"), // about nothing
	}, 2, []record.Episode{episode(100, 105, 8)})
	if right, wrong, nobody := table.Causes(scenario.Network); right != 2 || wrong != 1 || nobody != 1 {
		t.Errorf("%d right, %d wrong, %d blame nobody", right, wrong, nobody)
	}
	if right, wrong, nobody := table.Causes(scenario.Camera); right+wrong+nobody != 0 {
		t.Errorf("%d lines about no camera's fault", right+wrong+nobody)
	}
}
