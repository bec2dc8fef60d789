package certmanager

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/cluster/build"
)

// program is the controllers with an API server that never answers.
func program(t *testing.T) *process {
	t.Helper()
	if testing.Short() {
		t.Skip("builds cert-manager; run without -short")
	}
	binary, err := build.CertManager(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "silent",
"clusters": [{"name": "silent", "cluster": {"server": "http://` + silent.Addr().String() + `"}}],
"contexts": [{"name": "silent", "context": {"cluster": "silent"}}]}`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(binary, "--kubeconfig="+kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.end()
		_ = os.RemoveAll(p.dir)
	})
	select {
	case <-p.ended:
		t.Fatalf("it ended at once: %s", p.tail())
	case <-time.After(500 * time.Millisecond):
	}
	return p
}

func TestTheControllersEndWithWhoStartedThem(t *testing.T) {
	p := program(t)
	if err := p.alive.Close(); err != nil { // as the kernel does, at our end
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Error("they go on")
	}
}

func TestAnEarlyEndIsAnErrorWithItsLog(t *testing.T) {
	p := program(t)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	for range 2 {
		if err := p.end(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestTheEndThatWasAskedForIsNoError(t *testing.T) {
	p := program(t)
	for range 2 {
		if err := p.end(); err != nil {
			t.Error(err)
		}
	}
}
