package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/score"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

// gate is what the detectors' figures must not fall behind: what they reach on
// these seeds, with a margin for changes that are no regression.
var gate = struct {
	recall, precision, wrongPerHour float64
	missed                          float64 // share of episodes without a stall line
	prompt                          float64 // share of bursts told of in time
	cleanDegradedPerHour            float64
}{recall: .85, precision: .70, wrongPerHour: 4.5, missed: .1, prompt: .55, cleanDegradedPerHour: 6}

// TestDetectorsAreNoWorseThanTheyWere replays five stream-hours.
func TestDetectorsAreNoWorseThanTheyWere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute of CPU")
	}
	d, err := findDetectors("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	var table score.Table
	for n := range uint64(2) {
		rec, err := run(GateSeeds+n, 8*time.Minute, 20)
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.replay(rec, rec.Duration())
		if err != nil {
			t.Fatal(err)
		}
		alerts, err := score.ReadAlerts(bytes.NewReader(out), record.Start)
		if err != nil {
			t.Fatal(err)
		}
		table.Add(rec.Truth(viewer.Conceal), alerts)
	}
	for _, depth := range []float64{1, 2, 4} {
		r := table.Row(depth, score.AllKinds)
		if r.Recall() < gate.recall || r.Precision() < gate.precision || float64(r.Wrong)/table.Hours > gate.wrongPerHour {
			t.Errorf("depth %g s: recall %.2f, precision %.2f, %.2f wrong alerts an hour; at least %.2f, %.2f, at most %.2f",
				depth, r.Recall(), r.Precision(), float64(r.Wrong)/table.Hours, gate.recall, gate.precision, gate.wrongPerHour)
		}
	}
	if share := float64(len(table.Missed)) / float64(table.Episodes); share > gate.missed {
		t.Errorf("%d of %d episodes without a stall line", len(table.Missed), table.Episodes)
	}
	if share := float64(table.Prompt) / float64(table.Bursts); share < gate.prompt {
		t.Errorf("%d of %d bursts of loss told of in time", table.Prompt, table.Bursts)
	}
	if rate := float64(table.CleanDegraded) / table.CleanHours; rate > gate.cleanDegradedPerHour {
		t.Errorf("%.2f degraded lines an hour on streams without faults", rate)
	}
	if t.Failed() {
		if err := table.Print(os.Stderr, "debugsidecar", true); err != nil {
			t.Error(err)
		}
	}
}

func TestAlertsKnowNothingOfWhatComesLater(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute of CPU")
	}
	d, err := findDetectors("")
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	rec, err := run(GateSeeds+10, 3*time.Minute, 8)
	if err != nil {
		t.Fatal(err)
	}
	n, err := foresight(rec, d.replay, 4)
	if err != nil {
		t.Error(err)
	}
	if n == 0 {
		t.Error("no alerts")
	}
}
