package target

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestTheTargetOfACopyIsFoundByItsCommand(t *testing.T) {
	const command = "sleep 61.25"
	start := func() *exec.Cmd {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sleep", "61.25")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	// A process of nobody's, for ours are below us.
	const nobody = 1 << 30
	if _, err := Held("/proc", command, nobody); err == nil || !strings.Contains(err.Error(), "no process here runs") {
		t.Fatal(err)
	}
	one := start()
	got, err := Held("/proc", command, nobody)
	if err != nil || got.PID != one.Process.Pid || got.Confidence != ByCommand {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := Held("/proc", command, os.Getpid()); err == nil {
		t.Errorf("a process of ours is the target: %+v", got)
	}
	for _, other := range []string{"sleep 61.2", "sleep 61.25 ", "sleep"} {
		if got, err := Held("/proc", other, nobody); err == nil {
			t.Errorf("%q: %+v", other, got)
		}
	}
	start()
	if got, err := Held("/proc", command, nobody); err == nil || !strings.Contains(err.Error(), "2 processes run") {
		t.Errorf("of two: %+v, %v", got, err)
	}
}
