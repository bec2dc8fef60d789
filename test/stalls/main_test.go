package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/baseline"
	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/score"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

func TestGeneratedFilesAreScored(t *testing.T) {
	dir := t.TempDir()
	if err := generate(TuningSeeds, 2*time.Minute, 4, viewer.Conceal, dir); err != nil {
		t.Fatal(err)
	}
	var alerts bytes.Buffer
	c := baselineCommand()
	c.SetOut(&alerts)
	c.SetArgs([]string{filepath.Join(dir, captureFile)})
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "alerts.jsonl")
	if err := os.WriteFile(name, alerts.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	c = scoreCommand()
	c.SetOut(&table)
	c.SetArgs([]string{"--truth", filepath.Join(dir, truthFile), "--alerts", name})
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "stream-hours of video") || strings.Contains(table.String(), "no known stream") {
		t.Error(table.String())
	}
}

func TestSeedsForTuningTestsAndReportsAreApart(t *testing.T) {
	if GateSeeds-TuningSeeds < 1000 || ReportingSeeds-GateSeeds < 1000 {
		t.Error("whoever counts up from the one meets the other")
	}
}

// replayed returns a stand-in for sidecar replay: the freeze rule, bent.
func replayed(bend func(until time.Duration, alerts []score.Alert) []score.Alert) func(record.Recording, time.Duration) ([]byte, error) {
	return func(rec record.Recording, until time.Duration) ([]byte, error) {
		capture := rec.Capture(until)
		defer capture.Close()
		alerts, err := baseline.Alerts(baseline.Freeze, capture, record.Start)
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		for _, a := range bend(until, alerts) {
			if err := score.WriteAlert(&out, a, record.Start); err != nil {
				return nil, err
			}
		}
		return out.Bytes(), nil
	}
}

func TestForesightIsFound(t *testing.T) {
	rec, err := run(TuningSeeds+1, 3*time.Minute, 8)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bend func(time.Duration, []score.Alert) []score.Alert
		want string
	}{
		"honest": {func(_ time.Duration, a []score.Alert) []score.Alert { return a }, ""},
		"knows how much is to come": {func(until time.Duration, a []score.Alert) []score.Alert {
			if len(a) > 0 {
				a[0].Src = fmt.Sprint(until)
			}
			return a
		}, "another than in the whole"},
		"not sorted": {func(_ time.Duration, a []score.Alert) []score.Alert {
			if n := len(a); n > 0 {
				a[0], a[n-1] = a[n-1], a[0]
			}
			return a
		}, "earlier than the one before"},
		"says more at the end": {func(until time.Duration, a []score.Alert) []score.Alert {
			return append(a, score.Alert{At: until.Seconds() + 5, Kind: score.Stalled})
		}, "after the end"},
		"forgets": {func(until time.Duration, a []score.Alert) []score.Alert {
			if until < rec.Duration() {
				return nil
			}
			return a
		}, "missing"},
	} {
		n, err := foresight(rec, replayed(c.bend), 4)
		switch {
		case c.want == "" && (err != nil || n == 0):
			t.Errorf("%s: %d alerts, %v", name, n, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
