package video_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program builds the sidecar, once.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(dir, "sidecar")
	build := exec.Command("go", "build", "-o", path, "github.com/debugsidecar/debugsidecar/sidecar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		err = &exec.Error{Name: string(out), Err: err}
	}
	return path, err
})

// watching is a probe that runs, as by hand.
type watching struct {
	t             *testing.T
	inside, token string
	output        *text
}

// watch runs the probe until the test ends.
func watch(t *testing.T, args ...string) *watching {
	t.Helper()
	worker := needs(t)
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	p := &watching{t: t, output: &text{}}
	cmd := exec.Command(path, append([]string{"video-probe", "--tier", "user", "--worker", worker,
		"--listen", "127.0.0.1:0", "--inside", "127.0.0.1:0", "--run-dir", run, "--pictures"}, args...)...)
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the probe ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the probe said:\n%s", p.output)
		}
	})
	for end := time.Now().Add(patience); p.inside == "" || p.token == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the probe does not say where its page is")
		}
		address, _ := os.ReadFile(filepath.Join(run, "inside"))
		token, _ := os.ReadFile(filepath.Join(run, "token"))
		p.inside, p.token = strings.TrimSpace(string(address)), strings.TrimSpace(string(token))
	}
	return p
}

// statusOf is what a test reads of the status.
type statusOf struct {
	Advice  []string
	Capture struct {
		State, Why string
		Width      int
		Lower      *struct {
			Source string
			Until  *time.Time
		}
	}
}

// get asks for one of the API's documents; false while it can't be had.
func (p *watching) get(path string, into any) bool {
	r, err := http.NewRequest(http.MethodGet, "http://"+p.inside+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(into) == nil
}

// until waits for a status.
func (p *watching) until(what string, is func(statusOf) bool) statusOf {
	p.t.Helper()
	s, so := p.wait(2*patience, is)
	if !so {
		p.t.Fatalf("never so: %s; at last %+v", what, s)
	}
	return s
}

// within says whether it is so before a time has passed.
func (p *watching) within(time time.Duration, is func(statusOf) bool) bool {
	_, so := p.wait(time, is)
	return so
}

func (p *watching) wait(most time.Duration, is func(statusOf) bool) (s statusOf, so bool) {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s = statusOf{}
		if p.get("/api/v1/status", &s) && is(s) {
			return s, true
		}
	}
	return s, false
}

// text is what a process wrote, so far.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *text) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}
