package cgroups

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestHierarchiesAreFoundOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mountinfo")
	text := `23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
99 23 0:32 /pod /elsewhere/memory rw,relatime - cgroup cgroup rw,memory
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := hierarchies(path)
	want := []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("hierarchies are %q, %v; want %q", got, err, want)
	}
}

func TestAControllerThatTheRootKeepsIsNamed(t *testing.T) {
	for _, test := range []struct{ there, handed, err string }{
		{"cpuset cpu io memory pids rdma\n", "cpuset cpu io memory pids\n", ""},
		{"cpuset cpu io memory pids\n", "cpu memory pids\n", "lacks cpuset; allow it: echo +cpuset >"},
		{"hugetlb\n", "\n", ""}, // the others are version 1's
	} {
		mount := t.TempDir()
		for name, text := range map[string]string{"cgroup.controllers": test.there, "cgroup.subtree_control": test.handed} {
			if err := os.WriteFile(filepath.Join(mount, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := hands(mount)
		if test.err == "" && err != nil || test.err != "" && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%q of %q: %v, want %q", test.handed, test.there, err, test.err)
		}
	}
	if err := hands(t.TempDir()); err != nil {
		t.Errorf("version 1: %v", err)
	}
}

func TestSweepRemovesThoseOfTheDead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making cgroups takes root")
	}
	alive, err := NewName()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	space, err := pidNamespace()
	if err != nil {
		t.Fatal(err)
	}
	dead := nameOf(space, cmd.Process.Pid)
	for _, name := range []string{alive, dead} {
		if err := Make(name); err != nil {
			t.Skip(err) // cgroups may be there to be read only
		}
		defer Remove(name) //nolint:errcheck // a test that failed earlier
	}
	mounts, err := hierarchies("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, mount := range mounts {
		if err := os.MkdirAll(filepath.Join(mount, dead, "kubepods", "burstable"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := Sweep(); err != nil {
		t.Fatal(err)
	}
	for _, mount := range mounts {
		if _, err := os.Stat(filepath.Join(mount, dead)); !os.IsNotExist(err) {
			t.Errorf("%s in %s: %v", dead, mount, err)
		}
		if _, err := os.Stat(filepath.Join(mount, alive)); err != nil {
			t.Error(err)
		}
	}
	if err := Remove(alive); err != nil {
		t.Error(err)
	}
	if strings.Count(alive, "-") != 3 {
		t.Errorf("the name is %s", alive)
	}
}
