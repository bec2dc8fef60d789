package launch_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

// powerless is what /proc/PID/status says of a process that has no capability
// and will never have one.
var powerless = []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"}

func expectPowerless(t *testing.T, who, status string) {
	t.Helper()
	for _, want := range powerless {
		if !strings.Contains(status, want) {
			t.Errorf("%s is not powerless, %q is missing:\n%s", who, want, status)
		}
	}
}

func init() {
	programs["unprivileged"] = func(args []string) int { return tellOfChild(args, true) }
	programs["privileged"] = func(args []string) int { return tellOfChild(args, false) }
	// Is what a container of the kernel tier is: root with three capabilities and
	// no more to win.
	programs["kernel-tier"] = func(args []string) int {
		runtime.LockOSThread()
		keep := uint64(1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON | 1<<unix.CAP_NET_RAW)
		for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
			if keep&(1<<c) == 0 {
				_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
			}
		}
		os.Setenv(program, "unprivileged")
		exe, _ := os.Executable()
		fmt.Println(syscall.Exec(exe, append([]string{exe}, args...), os.Environ()))
		return 1
	}
}

// tellOfChild tells of itself, of a child, and of what a script in it says.
func tellOfChild(script []string, unprivileged bool) int {
	fmt.Println(capabilities("/proc/thread-self/status"))
	c, err := launch.Start(launch.Spec{
		Path: "/bin/sh", Args: []string{"-c", "cat /proc/self/status; " + strings.Join(script, " ")},
		Env: []string{"PATH=/usr/bin:/bin"}, Stdout: os.Stdout, Stderr: os.Stdout, Unprivileged: unprivileged,
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	state, _ := c.Wait()
	fmt.Println(capabilities("/proc/thread-self/status"))
	return launch.Status(state)
}

// capabilities returns the effective capabilities of a status file.
func capabilities(path string) string {
	b, _ := os.ReadFile(path)
	_, rest, _ := strings.Cut(string(b), "CapEff:\t")
	return rest[:16]
}

func TestUnprivilegedChildHasNoCapability(t *testing.T) {
	got, _ := output(t, launch.Spec{Path: "/bin/cat", Args: []string{"/proc/self/status"}, Unprivileged: true})
	expectPowerless(t, "the child", got)
}

// A container of the kernel tier can't empty its bounding set: it lacks
// CAP_SETPCAP.
func TestUnprivilegedChildOfTheKernelTier(t *testing.T) {
	root(t)
	p := begin(t, nil, "kernel-tier")
	const tier = "000000c000002000"
	p.expect(t, tier)
	var status []string
	for line := range p.lines {
		status = append(status, line)
	}
	expectPowerless(t, "the child", strings.Join(status, "\n"))
	if last := status[len(status)-1]; last != tier {
		t.Errorf("the parent lost capabilities, too: it has %s", last)
	}
}

// What is set-user-ID root or has file capabilities gives an unprivileged child
// nothing.
func TestUnprivilegedChildWinsNothingBySetUID(t *testing.T) {
	root(t)
	dir, err := os.MkdirTemp("", "launch")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cat := filepath.Join(dir, "cat")
	if out, err := exec.Command("cp", "/bin/cat", cat).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(cat, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "test")
	if out, err := exec.Command("cp", exe, own).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(own, cat, "/proc/self/status")
	cmd.Dir, cmd.Env = "/", append(os.Environ(), program+"=unprivileged")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, bySetUID, ok := strings.Cut(string(out), "NoNewPrivs:")
	if !ok {
		t.Fatalf("%s", out)
	}
	expectPowerless(t, "the set-user-ID program", bySetUID)
	if !strings.Contains(bySetUID, "Uid:\t65532\t65532\t65532\t65532") {
		t.Errorf("it is somebody else:\n%s", bySetUID)
	}
}

func TestPrivilegesOfOurOwnThreadsStay(t *testing.T) {
	privileges := func(path string) string {
		b, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(b), "CapInh:")
		rest, _, _ = strings.Cut(rest, "Seccomp:")
		return rest
	}
	before := privileges("/proc/thread-self/status")
	for range 20 {
		if _, status := output(t, launch.Spec{Path: "true", Unprivileged: true}); status != 0 {
			t.Fatal(status)
		}
	}
	eventually(t, "all threads are as before", func() bool {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if now := privileges("/proc/self/task/" + e.Name() + "/status"); now != "" && now != before {
				return false
			}
		}
		return true
	})
}
