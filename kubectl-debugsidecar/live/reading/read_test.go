package reading

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"unicode"
)

// read reads what a real probe served: two streams, of which one's receiver did
// not read for five seconds, and whose sender then paused.
func read(t *testing.T, name string) *Reading {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatARealProbeServedIsUnderstood(t *testing.T) {
	calm := read(t, "calm")
	if calm.Tier != "kernel" || calm.State != "Ready" || calm.Health != "excellent" || calm.At.IsZero() || calm.Total != 2 || len(calm.Streams) != 2 {
		t.Errorf("calm: %+v", calm)
	}
	for _, s := range calm.Streams {
		if s.Health != "excellent" || s.NextStall() != nil || s.Waits() != nil || s.Bytes == nil || *s.Bytes == 0 || s.LossRatio == nil || len(s.Forecasts) != 5 {
			t.Errorf("calm: %+v", s)
		}
	}
	outage := read(t, "outage")
	worst := outage.Streams[0]
	if worst.Stream != "127.0.0.1:5004" || worst.Health != "unusable" || worst.Cause != "node" || *worst.KernelDrops != 788 {
		t.Errorf("outage: %+v", worst)
	}
	if w, n := worst.Waits(), worst.NextStall(); w == nil || w.BufferSeconds != 1 || n == nil || n.BufferSeconds != 2 || *n.StallSeconds < 0.05 || *n.StallSeconds > 0.06 {
		t.Errorf("viewers with 1 s of buffer wait, those with 2 s will: %+v, %+v", w, n)
	}
	if outage.Streams[1].Health != "excellent" {
		t.Errorf("the other stream: %+v", outage.Streams[1])
	}
	var socket, noise float64
	for _, d := range outage.Drops {
		if d.Reason == "SOCKET_RCVBUFF" && d.Loss {
			socket += d.Count
		}
		if !d.Loss {
			noise += d.Count
		}
	}
	if socket != 788 || noise != 23 {
		t.Errorf("drops: %+v", outage.Drops)
	}
}

// TestNamesAreThoseOfTheMetrics fails when a metric is renamed.
func TestNamesAreThoseOfTheMetrics(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range metrics {
		if !strings.Contains(string(doc), "| `"+name+"` |") {
			t.Errorf("docs/metrics.md has no %s", name)
		}
	}
}

const probe = "debugsidecar_tier_info{tier=\"kernel\"} 1\n"

func TestAHostileProbeIsBounded(t *testing.T) {
	long := strings.Repeat("x", mostLine+1)
	for name, c := range map[string]struct{ text, says string }{
		"nothing":          {"", "no probe"},
		"another program":  {"up 1\ngo_goroutines 3\n", "no probe"},
		"HTML":             {"<html>", "no probe"},
		"no number":        {probe + "debugsidecar_streams many\n", "can't be read"},
		"an open label":    {probe + "debugsidecar_stream_bytes_total{stream=\"a\n", "can't be read"},
		"a long line":      {probe + "debugsidecar_streams{a=\"" + long + "\"} 1\n", "line of more than"},
		"a long family":    {probe + strings.Repeat("debugsidecar_streams "+strings.Repeat("1", 1000)+"\n", 3000), "more than"},
		"escape sequences": {probe + "debugsidecar_stream_bytes_total{stream=\"\x1b[2J\x1b]0;owned\a\",src=\"\u202e\",ssrc=\"1\"} 5\ndebugsidecar_stream_bytes_total{\x1b[31m} 1\n", "can't be read"},
	} {
		_, err := Read(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
			continue
		}
		printable(t, name, err.Error())
	}
}

func TestTextsGoToATerminal(t *testing.T) {
	r, err := Read(strings.NewReader(probe + `debugsidecar_build_info{version="` + "\x1b[2J" + `"} 1
debugsidecar_state{state="` + "\x1b]0;owned\a" + `"} 1
debugsidecar_stream_health{stream="` + "\x1b[31mred\\n\u202eevil\u009b" + `",src="` + strings.Repeat("é", 4000) + `",ssrc="1",health="` + "\x1b" + `",cause="because"} 1
debugsidecar_not_available{figure="` + "\r" + `",needs="` + "\x00" + `"} 1
debugsidecar_drops_total{reason="` + "\b" + `",class="loss"} 1
debugsidecar_stream_bytes_total{stream="a"} NaN
debugsidecar_stream_lag_seconds{stream="a"} +Inf
debugsidecar_stream_seconds_to_stall{stream="a",buffer_s="-1"} 1
debugsidecar_stream_seconds_to_stall{stream="a",buffer_s="NaN"} 1
`))
	if err != nil {
		t.Fatal(err)
	}
	printable(t, "reading", fmt.Sprintf("%s %s %+v %+v %+v", r.Version, r.State, r.Drops, r.Lacks, r.Streams[0].ID))
	if s := r.Streams[0]; s.Health != "unknown" || s.Cause != "" || len(s.Src) > 256 {
		t.Errorf("got %+v", s)
	}
	for _, s := range r.Streams {
		if s.Bytes != nil || s.LagSeconds != nil || len(s.Forecasts) != 0 {
			t.Errorf("got %+v", s)
		}
	}
}

func printable(t *testing.T, name, text string) {
	t.Helper()
	for _, r := range text {
		if !unicode.IsPrint(r) {
			t.Errorf("%s: %q has %U", name, text, r)
		}
	}
}

// endless never ends.
type endless struct {
	line string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, strings.Repeat(e.line, len(p)/len(e.line)+1))
	e.read += n
	return n, nil
}

func TestGigabytesAreNotRead(t *testing.T) {
	for name, line := range map[string]string{
		"comments": "# HELP debugsidecar_streams " + strings.Repeat("a", 200) + "\n",
		"others":   "go_goroutines 1\n",
		"ours":     "debugsidecar_streams 1\n",
		"one line": "a",
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		e := &endless{line: line}
		if _, err := Read(e); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		t.Logf("%s: %d bytes were read, %d allocated in all", name, e.read, after.TotalAlloc-before.TotalAlloc)
		if e.read > most+2*mostLine || after.TotalAlloc-before.TotalAlloc > 64<<20 {
			t.Errorf("%s: too much", name)
		}
	}
}

func TestTheWorstStreamsAreKept(t *testing.T) {
	var b strings.Builder
	b.WriteString(probe)
	for i := range 3 * seen {
		health := "excellent"
		if i == 1500 {
			health = "poor"
		}
		fmt.Fprintf(&b, "debugsidecar_stream_health{stream=\"s%d\",src=\"\",ssrc=\"1\",health=%q,cause=\"\"} 1\n", i, health)
	}
	r, err := Read(io.Reader(strings.NewReader(b.String())))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Streams) != MaxStreams || r.Streams[0].Stream != "s1500" || r.Total != seen {
		t.Errorf("%d streams of %d, first %+v", len(r.Streams), r.Total, r.Streams[0].ID)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"calm", "outage"} {
		text, err := os.ReadFile("testdata/" + name + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Read(strings.NewReader(string(text)))
		if err != nil {
			printable(t, "error", err.Error())
			return
		}
		for _, s := range r.Streams {
			printable(t, "stream", s.Stream+s.Src+s.SSRC+s.Health+s.Cause)
		}
	})
}
