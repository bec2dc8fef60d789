package top

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// TestMain is the command itself where a test asks for that: it needs a program of
// its own for a terminal.
func TestMain(m *testing.M) {
	if os.Getenv("TOP_IS_THE_COMMAND") == "" {
		os.Exit(m.Run())
	}
	c := Command(genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr})
	c.SetArgs(os.Args[1:])
	if c.ExecuteContext(context.Background()) != nil {
		os.Exit(1)
	}
}

// apiServer has one pod, whose probe serves what was recorded.
func apiServer(t *testing.T) (kubeconfig string) {
	t.Helper()
	metrics, err := os.ReadFile(filepath.Join("..", "reading", "testdata", "outage.txt"))
	if err != nil {
		t.Fatal(err)
	}
	const pod = `{"metadata":{"namespace":"cameras","name":"ingest","uid":"1","resourceVersion":"1"},
"spec":{"containers":[{"name":"debugsidecar-full","ports":[{"name":"dbgsc-metrics","containerPort":9400}]}]},
"status":{"phase":"Running","containerStatuses":[{"name":"debugsidecar-full","containerID":"a","state":{"running":{}}}]}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/proxy/metrics"):
			w.Header().Set("Date", "Thu, 26 Nov 2026 16:45:14 GMT") // when that was
			w.Write(metrics)                                        //nolint:errcheck // the reader sees it
		case r.URL.Query().Get("watch") != "":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[%s]}`, pod)
		}
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],
clusters: [{name: a, cluster: {server: %q}}], users: [{name: a, user: {}}]}`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

func TestATerminal(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("there is no tmux: test/tools/deps.sh debug installs it")
	}
	kubeconfig := apiServer(t)
	socket := filepath.Join(t.TempDir(), "tmux")
	tmux := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "tmux", append([]string{"-S", socket}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "env TOP_IS_THE_COMMAND=1 PS1='ready$ ' ENV= sh")
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", socket, "kill-server").Run() })
	shows := func(text string) string {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if screen := tmux("capture-pane", "-p", "-e"); strings.Contains(screen, text) {
				return screen
			}
		}
		t.Fatalf("the screen does not show %q:\n%s", text, tmux("capture-pane", "-p"))
		return ""
	}
	shows("ready$")
	pid := strings.TrimSpace(tmux("display-message", "-p", "#{pane_pid}"))
	modes := func() string {
		t.Helper()
		out, err := exec.Command("stty", "-a", "-F", strings.TrimSpace(tmux("display-message", "-p", "#{pane_tty}"))).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out) + tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{keypad_flag} #{mouse_any_flag}")
	}
	before := modes()
	begin := func(env string) string {
		t.Helper()
		tmux("send-keys", "clear; "+env+os.Args[0]+" -n cameras --kubeconfig "+kubeconfig, "Enter")
		return shows("unusable")
	}
	child := func(sig syscall.Signal) {
		t.Helper()
		out, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		if err != nil {
			t.Fatal(err)
		}
		var id int
		if _, err := fmt.Sscan(string(out), &id); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(id, sig); err != nil {
			t.Fatal(err)
		}
	}
	for name, end := range map[string]func(){
		"q": func() { tmux("send-keys", "q") }, "Ctrl-C": func() { tmux("send-keys", "C-c") },
		"SIGTERM": func() { child(syscall.SIGTERM) }, "SIGINT": func() { child(syscall.SIGINT) },
	} {
		begin("")
		if modes() == before {
			t.Fatal("the terminal's modes don't tell that the screen is there")
		}
		end()
		shows("ready$")
		if after := modes(); after != before {
			t.Errorf("%s leaves the terminal as\n%s\nit was\n%s", name, after, before)
		}
	}
	// Colours, unless they are not wanted.
	tmux("send-keys", "clear", "Enter")
	const red = "\x1b[31m"
	begin("")
	tmux("send-keys", "End") // the chosen row has no colour
	shows(red)
	tmux("send-keys", "q")
	shows("ready$")
	begin("NO_COLOR=1 ")
	tmux("send-keys", "End")
	time.Sleep(500 * time.Millisecond)
	if screen := tmux("capture-pane", "-p", "-e"); strings.Contains(screen, red) || !strings.Contains(screen, "unusable") {
		t.Errorf("with NO_COLOR: %q", screen)
	}
	tmux("resize-window", "-x", "50", "-y", "8")
	time.Sleep(500 * time.Millisecond)
	if screen := tmux("capture-pane", "-p"); strings.Contains(screen, "LOSS") || !strings.Contains(screen, "HEALTH    STALL(BUF)") {
		t.Errorf("in 50 columns:\n%s", screen)
	}
	tmux("send-keys", "Enter")
	shows("excellent, cause -") // of the last row
}
