package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

// asParent, when set, makes the test binary start a cluster, with a node if it is
// "node", write its description to standard output, and wait for a death of its own.
const asParent = "DEBUGSIDECAR_TEST_CLUSTER_PARENT"

// unavailable is the exit status of a parent that can't have a node.
const unavailable = 77

// orphanage is how long the programs may live on after their parent's death.
const orphanage = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asParent) == "" {
		os.Exit(m.Run())
	}
	os.Exit(parent())
}

func parent() int {
	ctx := context.Background()
	withNode := os.Getenv(asParent) == "node"
	c, err := Start(ctx, Options{Node: withNode, Log: func(line string) { os.Stderr.WriteString(line + "\n") }})
	if errors.Is(err, ErrUnavailable) {
		os.Stderr.WriteString(err.Error() + "\n")
		return unavailable
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	var description any = c.pids()
	if withNode {
		err := c.runCamera(ctx)
		if err == nil {
			description, err = c.traces()
		}
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			return 1
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(description); err != nil {
		return 1
	}
	_ = c.Wait(context.Background())
	return 1
}

// killParent starts a parent, kills it once its cluster is up, and returns when
// that was and how it described the cluster.
func killParent[description any](t *testing.T, kind string) (killed time.Time, d description) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes control plane; run without -short")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	// Without a node, the killed parent's directory stays.
	cmd.Env = append(os.Environ(), asParent+"="+kind, "TMPDIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(stdout).Decode(&d); err != nil {
		err = errors.Join(err, cmd.Wait())
		if cmd.ProcessState.ExitCode() == unavailable {
			t.Skip(ErrUnavailable)
		}
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed = time.Now()
	_ = cmd.Wait()
	return killed, d
}

func TestNothingOutlivesAKilledParent(t *testing.T) {
	killed, pids := killParent[map[string]int](t, "control plane")
	if len(pids) != 3 {
		t.Errorf("processes are %v", pids)
	}
	for name, pid := range pids {
		for alive(pid) {
			if time.Since(killed) > orphanage {
				t.Fatalf("%s (%d) is alive %s after its parent", name, pid, orphanage)
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("%s was gone after %s", name, time.Since(killed).Round(10*time.Millisecond))
	}
}
