package probe_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running probe.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	token    string
	pod      string // address of metrics
	inside   string // address of the API
	output   *lines
	received *receiver
	exited   chan struct{}
}

// start runs the probe, with a receiver of its alerts, until the test ends.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startAs(t, nil, args...)
}

func startAs(t *testing.T, attributes *syscall.SysProcAttr, args ...string) *process {
	t.Helper()
	// The test's own is for root alone.
	dir, err := os.MkdirTemp(filepath.Dir(program), "run-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, output: &lines{}, received: newReceiver(t), exited: make(chan struct{})}
	p.cmd = exec.Command(program, append([]string{
		"video-probe", "--listen", "127.0.0.1:0", "--inside", "127.0.0.1:0", "--run-dir", dir,
		"--alert-webhook", p.received.server.URL,
	}, args...)...)
	p.cmd.Env = append(os.Environ(), "DEBUGSIDECAR_POD=ingest", "DEBUGSIDECAR_NAMESPACE=video")
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if attributes == nil {
		attributes = &syscall.SysProcAttr{}
	}
	attributes.Pdeathsig = syscall.SIGKILL
	p.cmd.SysProcAttr = attributes
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // tests look at its state
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the probe said:\n%s", p.output)
		}
	})
	p.eventually("the probe says where it listens", func() bool {
		var line struct{ Msg, Metrics, Inside string }
		for _, text := range p.output.all() {
			if json.Unmarshal([]byte(text), &line) == nil && line.Msg == "watching" {
				p.pod, p.inside = line.Metrics, line.Inside
				return true
			}
		}
		return false
	})
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	p.token = strings.TrimSpace(string(token))
	p.eventually("it is ready", func() bool { code, _ := p.get(p.pod, "/readyz"); return code == http.StatusOK })
	return p
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(endsWithin):
		p.t.Errorf("the probe did not end at SIGTERM")
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// endsWithin is what the end may take: 3 s were measured with 40 busy programs on
// two processors, and Kubernetes kills after 30.
const endsWithin = 15 * time.Second

// patience is what a busy machine may take for what mostly takes moments.
const patience = time.Minute

func (p *process) eventually(what string, done func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}

func (p *process) get(addr, path string) (int, string) {
	r, err := http.NewRequest(http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// streamOf is what a test reads of a stream's status.
type streamOf struct {
	Name, Transport string
	SSRC            uint32
	Verdict         struct {
		Health, Cause string
		Blind         []string
	}
	Totals struct{ Packets, Lost, Frames, KernelDrops uint64 }
	Window map[string]*float64
}

type statusOf struct {
	State, Why, Tier, Health, Cause string
	NotAvailable                    map[string]string
	Streams                         []streamOf
	Drops                           []struct {
		Reason, Class string
		Count         uint64
	}
	Advice  []string
	Capture *struct{ State, Why string }
	Node    map[string]*float64
}

func (p *process) status() (s statusOf) {
	p.t.Helper()
	code, body := p.get(p.inside, "/api/v1/status")
	if code != http.StatusOK {
		p.t.Fatalf("status: %d %s", code, body)
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		p.t.Fatalf("status: %v in %s", err, body)
	}
	return s
}

// stream waits for the stream with this SSRC.
func (p *process) stream(ssrc uint32) (found streamOf) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("stream %08x is known", ssrc), func() bool {
		for _, s := range p.status().Streams {
			if s.SSRC == ssrc && s.Totals.Packets > 0 {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// residentBytes is what the probe has in memory.
func (p *process) residentBytes() uint64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kib << 10
		}
	}
	p.t.Fatal("no VmRSS")
	return 0
}

// processorTime is what the probe has used, user and system (proc_pid_stat(5)).
func (p *process) processorTime() time.Duration {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name may hold anything
	fields := strings.Fields(after)
	const user, system, perSecond = 11, 12, 100
	var ticks uint64
	for _, field := range []int{user, system} {
		n, err := strconv.ParseUint(fields[field], 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / perSecond
}

// lines is what a process wrote.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) all() (all []string) {
	s := bufio.NewScanner(strings.NewReader(l.String()))
	for s.Scan() {
		all = append(all, s.Text())
	}
	return all
}

// alert is one as a receiver gets it.
type alert struct {
	TS       time.Time
	Stream   string
	Src      string
	SSRC     uint32
	Kind     string
	Buffer   float64 `json:"buffer_s"`
	ETA      float64 `json:"eta_s"`
	Cause    string
	Received time.Time `json:"-"`
}

// receiver gets what the probe pushes.
type receiver struct {
	server *httptest.Server
	mu     sync.Mutex
	alerts []alert
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		now := time.Now()
		var batch []alert
		if err := json.NewDecoder(request.Body).Decode(&batch); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, a := range batch {
			a.Received = now
			r.alerts = append(r.alerts, a)
		}
	}))
	t.Cleanup(r.server.Close)
	return r
}

// of returns the alerts of a kind since a moment, as far as they came.
func (r *receiver) of(kind string, since time.Time) (found []alert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.alerts {
		if a.Kind == kind && !a.Received.Before(since) {
			found = append(found, a)
		}
	}
	return found
}
