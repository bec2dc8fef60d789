// Package status shows, through a real API server, that status, doctor, the
// self-probe, the election, the count of missed pods and the audit say what is the
// case, and that a canary is rolled back by itself.
package status

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	clustercommands "github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/cluster"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/offline"
	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/install"
)

// env is what all tests share; none is parallel.
var env struct {
	cluster      *cluster.Cluster
	installation *install.Installation
	client       *kubernetes.Clientset
	dir, binary  string
}

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("this needs a control plane; -short leaves it out")
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "status:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var err error
	if env.dir, err = os.MkdirTemp("", "debugsidecar-status-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(env.dir)
	env.binary = filepath.Join(env.dir, "webhook")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", env.binary, "../../webhook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the webhook: %w\n%s", err, out)
	}
	if env.cluster, err = cluster.Start(ctx, cluster.Options{Log: func(line string) { fmt.Fprintln(os.Stderr, "..", line) }}); err != nil {
		return 0, err
	}
	defer env.cluster.Stop() //nolint:errcheck // it is thrown away
	if env.client, err = kubernetes.NewForConfig(env.cluster.Config); err != nil {
		return 0, err
	}
	if err := applyCRD(ctx); err != nil {
		return 0, err
	}
	env.installation, err = install.Install(ctx, env.cluster, install.Options{
		Binary: env.binary, Chart: "../../charts/debugsidecar", Dir: env.dir,
		Args: []string{
			"--ca-propagation=1s", "--leader-elect", "--leader-election-lease=debugsidecar",
			"--self-probe-interval=1s", "--missed-pods-interval=1s",
			"--canary-state=debugsidecar-canary", "--canary-interval=1s", "--canary-delay=0s",
			"--audit-interval=1s", "--audit-reports=debugsidecar", "--audit-reports-owner=debugsidecar-audit",
		},
	})
	if err != nil {
		return 0, err
	}
	defer env.installation.Close()
	for range 2 {
		if _, err := env.installation.StartReplica(ctx); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// plugin runs the command line.
func plugin(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &stdout, ErrOut: &stderr}
	args = append(args, "--kubeconfig", env.cluster.Kubeconfig)
	code = offline.Main(t.Context(), args, streams, clustercommands.Commands(streams)...)
	return code, stdout.String(), stderr.String()
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
