package alerting

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/debian"
)

func programs(t *testing.T) Programs {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Prometheus and Alertmanager")
	}
	p, err := Fetch(t.Context(), func(s string) { t.Log(s) })
	if errors.Is(err, debian.ErrUnavailable) {
		t.Skipf("no Debian packages prometheus and prometheus-alertmanager: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The same drop is told both ways in one run, and the push is there first.
func TestAPushedAlertIsThereBeforeAScrapedOne(t *testing.T) {
	p := programs(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	took, err := Measure(ctx, p, false, time.Second, 3, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range took[Pushed] {
		if took[Pushed][i] >= took[Scraped][i] {
			t.Errorf("pushed after %v, scraped after %v", took[Pushed][i], took[Scraped][i])
		}
	}
}

// From a packet that a real socket drops, by the sidecar itself.
func TestARealDropIsToldBothWays(t *testing.T) {
	p := programs(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	took, err := Measure(ctx, p, true, time.Second, 1, func(s string) { t.Log(s) })
	if errors.Is(err, debian.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range took[Pushed] {
		if took[Pushed][i] >= took[Scraped][i] {
			t.Errorf("pushed after %v, scraped after %v", took[Pushed][i], took[Scraped][i])
		}
	}
}

// Prometheus reads native histograms, exemplars and what is not available.
func TestPrometheusReadsTheMetrics(t *testing.T) {
	p := programs(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	b, err := NewBench(ctx, p, t.TempDir(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	if _, err := b.Round(ctx); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		`up == 1`,
		`histogram_count(debugsidecar_push_latency_seconds{receiver="alertmanager"}) == 1`,
		`debugsidecar_alerts_total{kind="degraded",cause="node"} == 1`,
		`debugsidecar_push_alerts_total{receiver="webhook",outcome="pushed"} == 2`,
		`debugsidecar_stream_health{stream="10.20.0.7:5004",health="excellent"} == 1`,
	} {
		if err := b.Prometheus.until(ctx, query); err != nil {
			t.Error(err)
		}
	}
}

func eventually(t *testing.T, ctx context.Context, what string, is func() bool) {
	t.Helper()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("never true: %s", what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// servesUntilKilled is set in a process that starts Alertmanager and waits.
const servesUntilKilled = "ALERTING_SERVES_UNTIL_KILLED"

// Nothing stays behind, not even when the test is killed.
func TestProgramsEndWithTheirTest(t *testing.T) {
	if dir := os.Getenv(servesUntilKilled); dir != "" {
		s, err := programs(t).Alertmanager(t.Context(), dir, "http://127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(s.URL)
		select {}
	}
	programs(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestProgramsEndWithTheirTest$")
	cmd.Env = append(os.Environ(), servesUntilKilled+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "http") {
		t.Log(lines.Text())
	}
	url := lines.Text()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	eventually(t, ctx, "Alertmanager is gone", func() bool {
		answer, err := http.Get(url + "/-/ready")
		if err == nil {
			_ = answer.Body.Close()
		}
		return err != nil
	})
}
