package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestTwoNodesDoNotCollide(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two Kubernetes with a node; run without -short")
	}
	var clusters [2]*Cluster
	var errs [2]error
	var both sync.WaitGroup
	for i := range clusters {
		both.Go(func() { clusters[i], errs[i] = Start(t.Context(), Options{Node: true}) })
	}
	both.Wait()
	for i, c := range clusters {
		if c != nil {
			defer c.Stop() //nolint:errcheck // a test that failed earlier
		}
		if errors.Is(errs[i], ErrUnavailable) {
			t.Skip(errs[i])
		}
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
	}
	for i, c := range clusters {
		if err := c.runCamera(t.Context()); err != nil {
			t.Fatalf("cluster %d: %v", i, err)
		}
	}
	if err := clusters[0].Stop(); err != nil {
		t.Error(err)
	}
	// What the first one removed was its own.
	other := clusters[1]
	kubectl(t, other, "", "delete", "pod", "camera", "--grace-period=1")
	if err := other.runCamera(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWithoutRootANodeIsUnavailable(t *testing.T) {
	if os.Geteuid() != 0 {
		_, err := Start(t.Context(), Options{Node: true})
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "root") {
			t.Errorf("error is %v", err)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	// Nobody may look into the directory in which go puts a test's binary.
	cmd := exec.CommandContext(t.Context(), "/dev/fd/3")
	cmd.ExtraFiles = []*os.File{binary}
	cmd.Env = append(os.Environ(), asParent+"=node")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != unavailable || !strings.Contains(string(out), "root") {
		t.Errorf("exit status %d, %v: %s", code, err, out)
	}
}

func TestAProgramOfTheNodeThatEndsIsTold(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	c, err := Start(t.Context(), Options{Node: true})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop() //nolint:errcheck // it ended
	all, err := descendants(c.node.namespaces.init)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range all {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.HasPrefix(string(text), kubelet+"\x00") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "kubelet ended by itself (signal: killed)") {
		t.Errorf("error is %v", err)
	}
}
