package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestOurselvesAndAChildAreListed(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	deadline := time.Now().Add(10 * time.Second)
	for {
		all, err := List("/proc")
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(p Process) bool { return p.PID == os.Getpid() })
		if i < 0 || all[i].Parent != os.Getppid() || all[i].Start == 0 || all[i].Dead() || len(all[i].Groups) == 0 {
			t.Fatalf("we are %+v", all)
		}
		below := Descendants(all, os.Getpid())
		j := slices.IndexFunc(below, func(p Process) bool { return p.PID == cmd.Process.Pid })
		if j < 0 || below[j].Parent != os.Getpid() || below[j].Start < all[i].Start {
			t.Fatalf("the child is not below us: %+v", below)
		}
		if below[j].Name == "sleep" {
			break
		}
		if time.Now().After(deadline) { // it has not executed yet
			t.Fatalf("the child is %+v", below[j])
		}
	}
	arguments, cut, err := CommandLine("/proc", cmd.Process.Pid, 4096)
	if err != nil || cut || !slices.Equal(arguments, []string{"sleep", "60"}) {
		t.Errorf("%q, %v, %v", arguments, cut, err)
	}
	if arguments, cut, err = CommandLine("/proc", cmd.Process.Pid, 7); err != nil || !cut || !slices.Equal(arguments, []string{"sleep", "6"}) {
		t.Errorf("%q, %v, %v", arguments, cut, err)
	}
	ours, err := MountNamespace("/proc", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := MountNamespace("/proc", cmd.Process.Pid); err != nil || theirs != ours {
		t.Errorf("%s, not %s: %v", theirs, ours, err)
	}
}

// A name is up to the process: no field may come from it.
func TestHostileNames(t *testing.T) {
	const rest = " 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 4711 0"
	for _, name := range []string{"x", "a b", ") R 1 2 3", "((", "))", "\n(", "", "\xff\x1b[2J"} {
		root := t.TempDir()
		dir := filepath.Join(root, "42")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte("42 ("+name+") S"+rest), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := Read(root, 42)
		if err != nil || p.Name != name || p.Parent != 7 || p.Start != 4711 || p.State != 'S' {
			t.Errorf("%q: %+v, %v", name, p, err)
		}
	}
}

func TestACircleOfParentsEnds(t *testing.T) {
	all := []Process{{PID: 1, Parent: 3}, {PID: 2, Parent: 1}, {PID: 3, Parent: 2}, {PID: 9, Parent: 9}}
	if below := Descendants(all, 1); len(below) != 2 {
		t.Error(fmt.Sprint(below))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("42 (a) S 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 4711 0"))
	f.Add([]byte(")("))
	f.Fuzz(func(_ *testing.T, text []byte) {
		var p Process
		_ = p.parse(text)
	})
}
