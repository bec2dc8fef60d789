// Package live_test tries kubectl debugsidecar top and open on a real node: with a
// stream that is made to stall, in a terminal, with connections that are cut, and
// with users who may not.
package live_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/node"
)

// values of the chart: administrators may get into probes of the kernel tier.
const values = `
grants:
- namespace: cameras
  profiles: [video-probe]
  exec: {groups: ["system:masters"]}
`

// repository is where tests begin, and two folders up.
var repository, _ = filepath.Abs("../..")

type lab struct{ *node.Node }

func start(t *testing.T) lab {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	n, err := node.Start(t.Context(), node.Options{Root: repository, Dir: t.TempDir(), Values: values, Log: func(line string) { t.Log(line) }})
	if errors.Is(err, cluster.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _, err := n.Kubectl(context.Background(), "", "get", "pods,events", "-A", "-o", "wide")
			t.Log(out, err)
		}
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return lab{n}
}

func (l lab) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, stderr, err := l.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, stderr)
	}
	return out
}

func (l lab) apply(t *testing.T, namespace, name string, replace ...string) {
	t.Helper()
	text, err := node.Manifest(name, replace...)
	if err != nil {
		t.Fatal(err)
	}
	l.kubectl(t, text, "apply", "-n", namespace, "-f", "-")
}

func (l lab) pod(t *testing.T, namespace, selector string) corev1.Pod {
	t.Helper()
	pod, err := l.Pod(t.Context(), namespace, selector)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func (l lab) until(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	if err := l.Until(t.Context(), what, try); err != nil {
		t.Fatal(err)
	}
}

// ran is a command that ended.
type ran struct {
	out, err string
	status   int
}

func plugin() string { return filepath.Join(repository, "bin", "kubectl-debugsidecar") }

// run runs the plugin as a user.
func (l lab) run(t *testing.T, kubeconfig string, args ...string) ran {
	t.Helper()
	p := l.begin(t, kubeconfig, args...)
	return p.wait(t, 30*time.Second)
}

// running is the plugin while it runs.
type running struct {
	cmd      *exec.Cmd
	out, err safe
	ended    chan struct{}
}

// safe is a buffer that is read while it is written.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (l lab) begin(t *testing.T, kubeconfig string, args ...string) *running {
	t.Helper()
	p := &running{cmd: exec.CommandContext(t.Context(), plugin(), append(args, "--kubeconfig", kubeconfig)...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	return p
}

func (p *running) wait(t *testing.T, most time.Duration) ran {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(most):
		_ = p.cmd.Process.Kill()
		<-p.ended
		t.Fatalf("%v did not end: %s%s", p.cmd.Args, &p.out, &p.err)
	}
	return ran{p.out.String(), p.err.String(), p.cmd.ProcessState.ExitCode()}
}

func (p *running) interrupt(t *testing.T) ran {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	return p.wait(t, 5*time.Second)
}

// says waits until the plugin has written something.
func (p *running) says(t *testing.T, of *safe, text string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if strings.Contains(of.String(), text) {
			return
		}
		select {
		case <-p.ended:
			if !strings.Contains(of.String(), text) {
				t.Fatalf("%v ended without %q: %s%s", p.cmd.Args, text, &p.out, &p.err)
			}
			return
		default:
		}
	}
	t.Fatalf("%v did not say %q: %s%s", p.cmd.Args, text, &p.out, &p.err)
}

// user makes a user with rights in namespace cameras, and returns its kubeconfig.
func (l lab) user(t *testing.T, name string, rules string) string {
	t.Helper()
	l.kubectl(t, "", "create", "serviceaccount", name, "-n", "cameras")
	if rules != "" {
		l.kubectl(t, `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: `+name+`}, rules: [`+rules+`]}`, "apply", "-n", "cameras", "-f", "-")
		l.kubectl(t, "", "create", "rolebinding", name, "--role="+name, "--serviceaccount=cameras:"+name, "-n", "cameras")
	}
	token := strings.TrimSpace(l.kubectl(t, "", "create", "token", name, "-n", "cameras"))
	text, err := os.ReadFile(l.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"config", "set-credentials", name, "--token=" + token, "--kubeconfig", path},
		{"config", "set-context", "--current", "--user=" + name, "--kubeconfig", path},
	} {
		l.kubectl(t, "", args...)
	}
	return path
}

// TestLive is one test, for a node takes half a minute to start.
func TestLive(t *testing.T) {
	l := start(t)
	l.kubectl(t, "", "create", "namespace", "cameras")
	l.apply(t, "cameras", "receiver.yaml", "PROFILE", "video-probe", "PARAMS", "{buffer: 4}")
	l.kubectl(t, "", "-n", "cameras", "rollout", "status", "deployment/ingest", "--timeout=60s")
	pod := l.pod(t, "cameras", "app=ingest")
	l.apply(t, "cameras", "camera.yaml", "RECEIVER", pod.Status.PodIP+":5004")
	l.kubectl(t, "", "-n", "cameras", "wait", "--for=condition=Ready", "pod/camera", "--timeout=60s")
	camera := l.pod(t, "cameras", "app=camera").Status.PodIP
	for _, part := range []struct {
		claim string
		test  func(*testing.T, lab, string, string)
	}{
		{"top shows a stream", topShowsAStream},
		{"top says what a user may not", topSaysWhatAUserMayNot},
		{"top shows a stall in a terminal", topShowsAStall},
		{"open serves the page and connects again", openServesThePage},
		{"open says what a user may not", openSaysWhatAUserMayNot},
		{"open fetches a new token when the probe starts again", openFollowsTheProbe},
		{"open ends with the pod", openEndsWithThePod},
	} {
		begin := time.Now()
		t.Run(strings.ReplaceAll(part.claim, " ", "-"), func(t *testing.T) { part.test(t, l, pod.Name, camera) })
		t.Logf("%s: %.1f s", part.claim, time.Since(begin).Seconds())
	}
}
