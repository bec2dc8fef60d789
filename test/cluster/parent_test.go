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

// asParent, when set, makes the test binary start a cluster, write its
// description to standard output, and wait for a death of its own.
const asParent = "DEBUGSIDECAR_TEST_CLUSTER_PARENT"

// orphanage is how long the programs may live on after their parent's death.
const orphanage = 10 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asParent) == "" {
		os.Exit(m.Run())
	}
	os.Exit(parent())
}

func parent() int {
	c, err := Start(context.Background(), Options{Log: func(line string) { os.Stderr.WriteString(line + "\n") }})
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	if err := json.NewEncoder(os.Stdout).Encode(c.pids()); err != nil {
		return 1
	}
	_ = c.Wait(context.Background())
	return 1
}

func TestNothingOutlivesAKilledParent(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes control plane; run without -short")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	// The killed parent can't remove its directory.
	cmd.Env = append(os.Environ(), asParent+"=1", "TMPDIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids map[string]int
	if err := json.NewDecoder(stdout).Decode(&pids); err != nil {
		t.Fatal(errors.Join(err, cmd.Wait()))
	}
	for name, pid := range pids {
		if !alive(pid) {
			t.Fatalf("%s (%d) doesn't run", name, pid)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = cmd.Wait()
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
