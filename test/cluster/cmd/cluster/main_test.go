package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/cluster/build"
)

// asCommand, when set, makes the test binary be the command.
const asCommand = "DEBUGSIDECAR_TEST_CLUSTER_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// shell runs the command with a cache directory of its own, in which Kubernetes
// is the one of the usual cache.
type shell struct {
	t   *testing.T
	env []string
}

func newShell(t *testing.T) shell {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes control plane; run without -short")
	}
	kube, err := build.Kube(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	if err := os.Symlink(filepath.Dir(filepath.Dir(kube)), filepath.Join(cache, "kube")); err != nil {
		t.Fatal(err)
	}
	usual := filepath.Dir(filepath.Dir(filepath.Dir(kube)))
	if err := os.MkdirAll(filepath.Join(usual, "debian"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(usual, "debian"), filepath.Join(cache, "debian")); err != nil {
		t.Fatal(err)
	}
	return shell{t, append(os.Environ(), asCommand+"=1", "DEBUGSIDECAR_CACHE="+cache)}
}

func (s shell) run(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// want runs the command and wants the exit status 0 and part in its standard error.
func (s shell) want(part string, args ...string) (stdout string) {
	s.t.Helper()
	stdout, stderr, err := s.run(s.t.Context(), args...)
	if err != nil || !strings.Contains(stderr, part) {
		s.t.Errorf("%s: %v; standard error is %q, want %q", args, err, stderr, part)
	}
	return stdout
}

func TestClusterStaysUpUntilDown(t *testing.T) {
	s := newShell(t)
	t.Cleanup(func() { // t.Context has ended by then
		if _, stderr, err := s.run(context.Background(), "down"); err != nil {
			t.Error(err, stderr)
		}
	})
	s.want("no cluster is up", "down")
	if _, stderr, err := s.run(t.Context(), "kubeconfig"); err == nil || !strings.Contains(stderr, "no cluster is up") {
		t.Errorf("kubeconfig without a cluster: %v, %q", err, stderr)
	}

	environment := s.want("the cluster is up", "up")
	// What up prints is made for eval.
	sh := exec.CommandContext(t.Context(), "sh", "-c", environment+"kubectl get namespace default -o name")
	if text, err := sh.CombinedOutput(); err != nil || !strings.Contains(string(text), "namespace/default") {
		t.Errorf("kubectl says %q, %v", text, err)
	}
	if again := s.want("the cluster is already up", "up"); again != environment {
		t.Errorf("up prints %q, then %q", environment, again)
	}
	path := strings.TrimSpace(s.want("", "kubeconfig"))
	if !strings.Contains(environment, path) {
		t.Errorf("kubeconfig %q is not the one of up: %q", path, environment)
	}

	s.want("the cluster is down", "down")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("kubeconfig after down: %v", err)
	}
	s.want("no cluster is up", "down")
}

func TestUpWithANodeRunsPods(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a node takes root")
	}
	s := newShell(t)
	t.Cleanup(func() {
		if _, stderr, err := s.run(context.Background(), "down"); err != nil {
			t.Error(err, stderr)
		}
	})
	environment, stderr, err := s.run(t.Context(), "up", "--node")
	if err != nil && strings.Contains(stderr, cluster.ErrUnavailable.Error()) {
		t.Skip(stderr)
	}
	if err != nil {
		t.Fatal(err, stderr)
	}
	sh := exec.CommandContext(t.Context(), "sh", "-ec", environment+`
		ctr images list -q
		kubectl run pause --image=debugsidecar.local/pause:1 --image-pull-policy=Never
		kubectl wait --for=condition=Ready pod/pause --timeout=60s
		in-node hostname`)
	text, err := sh.CombinedOutput()
	for _, part := range []string{"debugsidecar.local/pause:1\n", "pod/pause condition met\n", "\nnode\n"} {
		if err != nil || !strings.Contains(string(text), part) {
			t.Errorf("the shell's output lacks %q (%v): %s", part, err, text)
		}
	}
	s.want("the cluster is already up", "up", "--node")
	s.want("the cluster is down", "down")
}
