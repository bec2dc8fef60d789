package replay_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What the command prints for a small capture with an outage, a camera's gap and
// a reader that stops. After a change that is meant:
//
//	go test ./sidecar/replay -run Golden -update
func TestGoldenAlertsOfASmallCapture(t *testing.T) {
	const capturePath, kernelPath, goldenPath = "testdata/small.pcap", "testdata/small.kernel.jsonl", "testdata/small.alerts.jsonl"
	if *update {
		outage := newFilm(0, 16*time.Second, 10).hold(6*time.Second, 1500*time.Millisecond)
		gap := newFilm(1, 16*time.Second, 10).lose(9*time.Second, 600*time.Millisecond)
		if err := os.WriteFile(capturePath, capture(t, outage, gap), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := command(t, nil, capturePath, "--json", "--kernel", kernelPath)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(goldenPath, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the alerts of %s changed (-update writes them anew):\n%s", capturePath, diff)
	}
}
