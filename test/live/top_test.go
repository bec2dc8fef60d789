package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Items []struct {
		Pod, Kind, Stream, Health, Cause, Why string
		BitsPerSecond, LossRatio, AgeSeconds  *float64
		StallSeconds, WaitingBufferSeconds    *float64
		Drops                                 struct{ Socket, Kernel, Wire *float64 }
	}
}

func topShowsAStream(t *testing.T, l lab, pod, _ string) {
	l.until(t, "top shows a healthy stream", func(context.Context) error {
		r := l.run(t, l.Kubeconfig, "top", "-n", "cameras", "--once", "-o", "json")
		var s sample
		if err := json.Unmarshal([]byte(r.out), &s); err != nil || r.status != 0 {
			t.Fatalf("%v: %+v", err, r)
		}
		if len(s.Items) != 1 {
			return fmt.Errorf("%+v", r)
		}
		if i := s.Items[0]; i.Pod != pod || i.Kind != "stream" || i.Health != "excellent" || i.BitsPerSecond == nil || *i.BitsPerSecond < 1e6 ||
			i.LossRatio == nil || i.Drops.Socket == nil || i.Drops.Wire == nil || i.AgeSeconds == nil || *i.AgeSeconds > 3 {
			return fmt.Errorf("%s", r.out)
		}
		return nil
	})
	r := l.run(t, l.Kubeconfig, "top", "-A", "--once")
	if r.status != 0 || !strings.Contains(r.out, "NAMESPACE") || !strings.Contains(r.out, pod) || !strings.Contains(r.out, ":5004") {
		t.Errorf("got %+v", r)
	}
	t.Logf("\n%s", r.out)
	// Where there is no terminal: once an interval.
	p := l.begin(t, l.Kubeconfig, "top", "-n", "cameras", pod, "nowhere", "-o", "json", "--interval", "500ms")
	time.Sleep(2500 * time.Millisecond)
	r = p.interrupt(t)
	if n := strings.Count(r.out, "\n"); n < 3 || n > 5 || r.status != 0 || !strings.Contains(r.out, "there is no such pod") {
		t.Errorf("%d lines, status %d: %s%s", n, r.status, r.out, r.err)
	}
}

func topSaysWhatAUserMayNot(t *testing.T, l lab, pod, _ string) {
	r := l.run(t, l.user(t, "nobody", ""), "top", "-n", "cameras", "--once")
	if r.status != 1 || !strings.Contains(r.err, "you may not list pods in namespace cameras") {
		t.Errorf("without rights: %+v", r)
	}
	r = l.run(t, l.user(t, "looker", `{apiGroups: [""], resources: [pods], verbs: [list, watch]}`), "top", "-n", "cameras", "--once")
	if r.status != 0 || !strings.Contains(r.out, pod) || !strings.Contains(r.out, "unreachable: you may not get pods/proxy") {
		t.Errorf("without pods/proxy: %+v", r)
	}
	// The least rights that docs/top.md names, and no watch.
	r = l.run(t, l.user(t, "reader", `{apiGroups: [""], resources: [pods], verbs: [list]}, {apiGroups: [""], resources: [pods/proxy], verbs: [get]}`), "top", "-n", "cameras", "--once")
	if r.status != 0 || !strings.Contains(r.out, ":5004") {
		t.Errorf("with list and pods/proxy: %+v", r)
	}
}

// terminal is a tmux with a shell.
type terminal struct{ socket string }

func newTerminal(t *testing.T, width, height int) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("there is no tmux: test/tools/deps.sh debug installs it")
	}
	x := &terminal{socket: "debugsidecar-live-" + strings.ReplaceAll(t.Name(), "/", "-")}
	x.do(t, "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "env PS1='ready$ ' ENV= sh")
	t.Cleanup(func() { _ = exec.Command("tmux", "-L", x.socket, "kill-server").Run() })
	return x
}

func (x *terminal) do(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "tmux", append([]string{"-L", x.socket}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (x *terminal) keys(t *testing.T, keys ...string) {
	t.Helper()
	x.do(t, append([]string{"send-keys"}, keys...)...)
}

func (x *terminal) screen(t *testing.T) string {
	t.Helper()
	return x.do(t, "capture-pane", "-p")
}

// shows waits until the screen has a text.
func (x *terminal) shows(t *testing.T, texts ...string) string {
	t.Helper()
	screen := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		screen = x.screen(t)
		for _, text := range texts {
			if strings.Contains(screen, text) {
				return screen
			}
		}
	}
	t.Fatalf("the screen does not show any of %q:\n%s", texts, screen)
	return ""
}

func topShowsAStall(t *testing.T, l lab, pod, camera string) {
	x := newTerminal(t, 80, 24)
	x.shows(t, "ready$")
	asked := 0
	modes := func() string { // of the terminal, but for its size
		asked++
		x.keys(t, fmt.Sprintf("clear; echo modes-%d: $(stty -g | md5sum)", asked), "Enter")
		answer := regexp.MustCompile(fmt.Sprintf(`modes-%d: ([0-9a-f]{32})`, asked))
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			screen := x.screen(t)
			if found := answer.FindStringSubmatch(screen); found != nil {
				return found[1]
			}
			if time.Now().After(end) {
				t.Fatalf("the shell does not answer:\n%s", screen)
			}
		}
	}
	before := modes()
	x.keys(t, "clear; "+plugin()+" top -n cameras --kubeconfig "+l.Kubeconfig, "Enter")
	// On a busy machine the stream may be in trouble already; then nobody blames the
	// network, though.
	t.Logf("\n%s", x.shows(t, ":5004"))

	squeezed := time.Now()
	if err := l.Post(t.Context(), "http://"+camera+":8090/rate?bits=600000"); err != nil {
		t.Fatal(err)
	}
	foreseen := x.shows(t, "network 0.", "network 1.", "network 2.", "network 3.", "network now (")
	t.Logf("%.1f s after the network was squeezed:\n%s", time.Since(squeezed).Seconds(), foreseen)
	now := x.shows(t, "now (4)")
	t.Logf("%.1f s after:\n%s", time.Since(squeezed).Seconds(), now)
	x.keys(t, "Enter")
	t.Logf("\n%s", x.shows(t, "viewers see a stall now"))
	x.keys(t, "Escape")
	if err := l.Post(t.Context(), "http://"+camera+":8090/rate?bits=0"); err != nil {
		t.Fatal(err)
	}

	x.do(t, "resize-window", "-x", "50", "-y", "10")
	narrow := x.shows(t, "HEALTH    STALL(BUF)")
	t.Logf("\n%s", narrow)
	for _, line := range strings.Split(narrow, "\n") {
		if n := len([]rune(line)); n > 50 {
			t.Errorf("%d columns in a terminal of 50: %s", n, line)
		}
	}
	x.do(t, "resize-window", "-x", "120", "-y", "30")
	x.shows(t, "BIT/S")
	x.keys(t, "/", "zzz", "Enter")
	x.shows(t, "nothing matches the filter")
	x.keys(t, "Escape")
	x.shows(t, pod)

	// The terminal comes back on each way out.
	for name, end := range map[string]func(){
		"q":      func() { x.keys(t, "q") },
		"Ctrl-C": func() { x.keys(t, "C-c") },
		"SIGTERM": func() {
			out, err := exec.Command("pgrep", "-f", "-n", plugin()+" top -n cameras --kubeconfig "+l.Kubeconfig).Output()
			if err != nil {
				t.Fatal(err)
			}
			if err := exec.Command("kill", "-TERM", strings.TrimSpace(string(out))).Run(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if !strings.Contains(x.screen(t), "q quit") {
			x.keys(t, "clear; "+plugin()+" top -n cameras --kubeconfig "+l.Kubeconfig, "Enter")
			x.shows(t, "q quit")
		}
		end()
		x.shows(t, "ready$")
		if after := modes(); after != before {
			t.Errorf("%s leaves the terminal as %q, it was %q", name, after, before)
		}
		if x.do(t, "display-message", "-p", "#{alternate_on} #{cursor_flag}") != "0 1\n" {
			t.Errorf("%s leaves the second screen, or no cursor", name)
		}
	}
}
