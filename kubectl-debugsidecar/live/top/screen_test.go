package top

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/ask"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/reading"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// recorded is an answer that a real probe gave: see reading/read_test.go.
func recorded(t *testing.T, name string) ask.Answer {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "reading", "testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := reading.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return ask.Answer{Reading: r, Received: r.At.Add(200 * time.Millisecond)}
}

func named(namespace, pod string) state {
	return state{Probe: probes.Probe{Namespace: namespace, Pod: pod, UID: pod, Container: "debugsidecar-video-probe", ID: "containerd://1", Port: 9400}, asked: 1}
}

// scene has a probe of each kind, at the time of the recorded outage.
func scene(t *testing.T) ([]state, time.Time) {
	calm, overflow, outage := recorded(t, "calm"), recorded(t, "overflow"), recorded(t, "outage")
	now := outage.Received.Add(400 * time.Millisecond)
	stalls := named("cameras", "ingest-7d9f8b6c5-x2k4q")
	stalls.answers = []ask.Answer{overflow, outage}
	healthy := named("cameras", "ingest-7d9f8b6c5-b8wzt")
	// Earlier recordings, as if they were of now.
	later := recorded(t, "calm-later")
	shift := outage.At.Sub(later.At)
	for _, a := range []ask.Answer{calm, later} {
		r := *a.Reading
		r.At = r.At.Add(shift)
		healthy.answers = append(healthy.answers, ask.Answer{Reading: &r, Received: a.Received.Add(shift)})
	}
	forbidden := named("doors", "gate-0")
	forbidden.err = ask.ErrForbidden
	silent := named("doors", "gate-1")
	silent.answers, silent.err = []ask.Answer{calm}, errors.New("no answer in time")
	waits := named("doors", "gate-2")
	waits.Waits = "ImagePullBackOff"
	idle := named("doors", "gate-3")
	none := *calm.Reading
	none.Streams, none.Total = nil, 0
	idle.answers = []ask.Answer{{Reading: &none, Received: now.Add(-time.Second)}}
	return []state{forbidden, healthy, idle, silent, stalls, waits}, now
}

func TestScreens(t *testing.T) {
	all, now := scene(t)
	sorted := rows(all, time.Second, now)
	for name, s := range map[string]screen{
		"80x24":      {width: 80, height: 24},
		"120x30":     {width: 120, height: 30, namespaces: true},
		"50x10":      {width: 50, height: 10},
		"30x6":       {width: 30, height: 6},
		"last":       {width: 80, height: 8, selected: sorted[len(sorted)-1].key()},
		"filtered":   {width: 80, height: 12, filter: "GATE"},
		"typing":     {width: 80, height: 10, filter: "nowhere", typing: true},
		"details":    {width: 100, height: 40, details: true},
		"unreadable": {width: 80, height: 14, details: true, selected: sorted[2].key()},
		"old-list":   {width: 80, height: 12, problem: "you may not watch pods, so new ones are seen late"},
	} {
		s.where, s.rows, s.now = "all namespaces", sorted, now.UTC()
		text := s.view()
		lines := strings.Split(text, "\n")
		if len(lines) > s.height {
			t.Errorf("%s: %d lines", name, len(lines))
		}
		for i, line := range lines {
			if n := ansi.StringWidth(line); n > s.width {
				t.Errorf("%s: line %d has %d columns: %q", name, i, n, line)
			}
			lines[i] = strings.TrimRight(ansi.Strip(line), " ")
		}
		golden(t, name, strings.Join(lines, "\n")+"\n")
	}
	golden(t, "table", table("all namespaces", "", sorted, true, now.UTC()))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (-update writes it anew):\n%s", path, d)
	}
}

func TestWithoutColourTheScreenSaysTheSame(t *testing.T) {
	all, now := scene(t)
	s := screen{width: 120, height: 20, rows: rows(all, time.Second, now), now: now}
	plain := ansi.Strip(s.view())
	for _, word := range []string{"> ", "unusable", "excellent", "unreachable:", "waiting:", "no stream:", "now ("} {
		if !strings.Contains(plain, word) {
			t.Errorf("there is no %q:\n%s", word, plain)
		}
	}
}

func TestAnySizeIsKept(t *testing.T) {
	all, now := scene(t)
	wide := named("世界", strings.Repeat("カメラ", 30))
	wide.err = errors.New(strings.Repeat("é世", 200))
	all = append(all, wide)
	s := screen{rows: rows(all, time.Second, now), now: now, where: "x", namespaces: true}
	for width := range 140 {
		for _, height := range []int{0, 1, 4, 5, 6, 24} {
			for _, details := range []bool{false, true} {
				s.width, s.height, s.details = width, height, details
				lines := strings.Split(s.view(), "\n")
				if len(lines) > max(height, 1) {
					t.Fatalf("%dx%d: %d lines", width, height, len(lines))
				}
				for _, line := range lines {
					if n := ansi.StringWidth(line); n > max(width, 1) {
						t.Fatalf("%dx%d: %d columns: %q", width, height, n, line)
					}
				}
			}
		}
	}
}

func TestKeys(t *testing.T) {
	var all []state
	for i := range 50 {
		s := named("cameras", fmt.Sprintf("pod-%02d", i))
		s.err = errors.New("away")
		all = append(all, s)
	}
	s := screen{width: 80, height: 14, rows: rows(all, time.Second, time.Now())}
	chosen := func() string {
		for line := range strings.Lines(ansi.Strip(s.view())) {
			if rest, ok := strings.CutPrefix(line, "> "); ok {
				return strings.Fields(rest)[0]
			}
		}
		return ""
	}
	press := func(keys ...string) {
		for _, k := range keys {
			text := ""
			if len(k) == 1 {
				text = k
			}
			if s.press(k, text) {
				t.Fatalf("%s quits", k)
			}
		}
	}
	for _, c := range []struct {
		keys []string
		want string
	}{
		{nil, "pod-00"}, {[]string{"down", "down"}, "pod-02"}, {[]string{"up"}, "pod-01"}, {[]string{"pgdown"}, "pod-11"},
		{[]string{"end"}, "pod-49"}, {[]string{"down"}, "pod-49"}, {[]string{"pgup"}, "pod-39"}, {[]string{"home"}, "pod-00"},
		{[]string{"/", "2", "7", "enter"}, "pod-27"}, {[]string{"esc"}, "pod-00"}, {[]string{"/", "q", "backspace", "4", "8", "enter"}, "pod-48"},
	} {
		press(c.keys...)
		if got := chosen(); got != c.want {
			t.Errorf("%v: %s is chosen, not %s", c.keys, got, c.want)
		}
	}
	// What is chosen stays so when others come before it.
	press("esc", "down", "down")
	s.rows = append([]row{{Namespace: "a", Pod: "new", Kind: kindIdle, detail: s.rows[0].detail}}, s.rows...)
	if got := chosen(); got != "pod-02" {
		t.Errorf("after another row came: %s", got)
	}
	press("enter")
	if !s.details || !strings.Contains(s.view(), "pod-02") {
		t.Error("Enter shows no details")
	}
	press("q")
	if s.details || !s.press("q", "q") || !s.press("ctrl+c", "") {
		t.Error("q goes back, and then quits")
	}
}

func TestDropsOfAStream(t *testing.T) {
	all, now := scene(t)
	worst := rows(all, time.Second, now)[0]
	// Between the two recordings, the socket dropped what the stream lost here.
	if d := worst.Drops; d.Socket == nil || *d.Socket == 0 || d.Kernel == nil || *d.Kernel != 0 || d.Bound {
		t.Errorf("%v %v %v", d.Socket, d.Kernel, d.Bound)
	}
	v := func(f float64) figure { return &f }
	answers := func(socket, other, a, b float64) []ask.Answer {
		make := func(socket, other, a, b float64) ask.Answer {
			return ask.Answer{Reading: &reading.Reading{Tier: "kernel", Drops: []reading.Drops{{Reason: receiveBuffer, Loss: true, Count: socket}, {Reason: "NETFILTER_DROP", Loss: true, Count: other}},
				Streams: []reading.Stream{{ID: reading.ID{Stream: "a"}, KernelDrops: v(a), Lost: v(10 * a), LossRatio: v(0)}, {ID: reading.ID{Stream: "b"}, KernelDrops: v(b)}}}}
		}
		return []ask.Answer{make(100, 100, 50, 50), make(100+socket, 100+other, 50+a, 50+b)}
	}
	for _, c := range []struct {
		socket, other, a, b float64
		wants, wantk        float64
		bound               bool
	}{
		{socket: 5, a: 5, wants: 5},
		{other: 5, a: 5, wantk: 5},
		{socket: 3, other: 2, a: 5, wants: 3, wantk: 2},
		{socket: 8, a: 5, b: 3, wants: 5},
		{socket: 4, other: 4, a: 5, b: 3, wants: 4, wantk: 4, bound: true},
	} {
		all := answers(c.socket, c.other, c.a, c.b)
		d := sharedDrops(all).of(all, &all[1].Streams[0], "kernel")
		if or(d.Socket, -1) != c.wants || or(d.Kernel, -1) != c.wantk || d.Bound != c.bound || or(d.Wire, -1) != 10*c.a-c.wantk {
			t.Errorf("%+v: %v %v %v %v", c, or(d.Socket, -1), or(d.Kernel, -1), d.Bound, or(d.Wire, -1))
		}
		if d := sharedDrops(all).of(all, &all[1].Streams[1], "user"); d.Socket != nil || d.Kernel != nil || d.Wire != nil {
			t.Errorf("what the user tier can't know is known: %+v", d)
		}
	}
}
