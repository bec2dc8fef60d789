package target

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debugsidecar/debugsidecar/sidecar/internal/podtest"
)

const program = "TARGET_TEST_PROGRAM"

// TestMain is also the containers' processes.
func TestMain(m *testing.M) {
	switch os.Getenv(program) {
	case "":
		goleak.VerifyTestMain(m)
	case "find":
		if err := find(); err != nil {
			fmt.Println("error:", err)
		}
	case "app": // with a child, as an app with a shell around it
		child := exec.Command("sleep", "60")
		if err := child.Start(); err != nil {
			fmt.Println("error:", err)
		}
		fmt.Println(os.Getpid())
		time.Sleep(time.Minute)
	default:
		fmt.Println(os.Getpid())
		time.Sleep(time.Minute)
	}
}

// find prints what Find says in here.
func find() error {
	if err := podtest.Enter(os.Getenv("NAMESPACE") != ""); err != nil {
		return err
	}
	found, err := Find("/proc", os.Getenv("ID"), os.Getpid())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func self(name string, env ...string) (cmd *exec.Cmd, lines *bufio.Scanner) {
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), program+"="+name), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	out, err := cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	return cmd, bufio.NewScanner(out)
}

// begin starts a process of a container, waits until it is up, and returns its
// PID in the pod.
func begin(t *testing.T, pod *podtest.Pod, group, name string) (pid int) {
	t.Helper()
	cmd, lines := self(name)
	pod.Start(t, group, cmd)
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines.Scan()
	pid, err := strconv.Atoi(lines.Text())
	if err != nil {
		t.Fatalf("%s: %q", name, lines.Text())
	}
	return pid
}

func TestTheContainerOfAnIDIsFoundInAPod(t *testing.T) {
	id := func(digit string) string { return strings.Repeat(digit, 64) }
	for _, c := range []struct {
		name, namespace string
		group           func(id string) string
	}{
		{"containerd with cgroupfs", "", func(id string) string { return id }},
		{"containerd with systemd, a namespace of control groups", "yes", func(id string) string { return "cri-containerd-" + id + ".scope" }},
		{"CRI-O", "yes", func(id string) string { return "crio-" + id + ".scope" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := podtest.New(t)
			pause := begin(t, pod, c.group(id("f")), "pause") // process 1, of the pod and not of the target
			app := begin(t, pod, c.group(id("a")), "app")
			plain := begin(t, pod, c.group(id("b")), "plain")
			begin(t, pod, c.group(id("a")), "exec") // as kubectl exec: later, its parent outside
			ask := func(status string) string {
				t.Helper()
				cmd, lines := self("find", "ID="+status, "NAMESPACE="+c.namespace)
				pod.Start(t, c.group(id("d")), cmd)
				defer func() { _ = cmd.Wait() }()
				lines.Scan()
				return lines.Text()
			}
			for status, want := range map[string]struct{ pid, others int }{
				"containerd://" + id("a"): {app, 2}, "cri-o://" + id("b"): {plain, 0}, "docker://" + id("f"): {pause, 0},
			} {
				var got Target
				if text := ask(status); json.Unmarshal([]byte(text), &got) != nil {
					t.Fatalf("%.20s: %s", status, text)
				}
				if got.PID != want.pid || got.Confidence != ByID || got.Others != want.others {
					t.Errorf("%.20s: %+v", status, got)
				}
			}
			// A container that has ended, or shares no processes with us.
			if text := ask("containerd://" + id("e")); !strings.Contains(text, "no process here is of the container eeeeeeeeeeee: of aaaaaaaaaaaa, bbbbbbbbbbbb, ffffffffffff") {
				t.Error(text)
			}
		})
	}
}

func TestWithoutIDsOneOtherContainerIsLikelyAndTwoAreNotTold(t *testing.T) {
	id := "containerd://" + strings.Repeat("a", 64)
	pod := podtest.New(t)
	begin(t, pod, "x", "app")
	ask := func(id string) string {
		cmd, lines := self("find", "ID="+id)
		pod.Start(t, "ours", cmd)
		defer func() { _ = cmd.Wait() }()
		lines.Scan()
		return lines.Text()
	}
	var got Target
	if text := ask(id); json.Unmarshal([]byte(text), &got) != nil || got.PID != 1 || got.Confidence != Likely || got.Others != 1 {
		t.Errorf("%s", text)
	}
	begin(t, pod, "y", "plain")
	if text := ask(id); !strings.Contains(text, "processes of 2 others: the target can't be told") {
		t.Error(text)
	}
}

// Who can't look into the others must not guess.
func TestWithoutIDsAndWithoutRightsNothingIsClaimed(t *testing.T) {
	root := t.TempDir()
	write := func(pid int, groups, namespace string) {
		dir := filepath.Join(root, strconv.Itoa(pid))
		if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
			t.Fatal(err)
		}
		stat := fmt.Sprintf("%d (x) S 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 %d 0", pid, pid)
		if err := errors.Join(os.WriteFile(dir+"/stat", []byte(stat), 0o644), os.WriteFile(dir+"/cgroup", []byte(groups), 0o644)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(namespace, dir+"/ns/mnt"); err != nil {
			t.Fatal(err)
		}
	}
	write(1, "0::/../..\n", "mnt:[2]")
	write(9, "0::/\n", "mnt:[1]")
	id := "containerd://" + strings.Repeat("a", 64)
	if got, err := Find(root, id, 9); err != nil || got.PID != 1 || got.Confidence != Likely {
		t.Errorf("%+v, %v", got, err)
	}
	// What is no link can not be read as one, by root either.
	if err := errors.Join(os.Remove(root+"/1/ns/mnt"), os.WriteFile(root+"/1/ns/mnt", nil, 0)); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(root, id, 9); err == nil || !strings.Contains(err.Error(), "process 1 may be anyone's") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Find(root, id, 10); err == nil || !strings.Contains(err.Error(), "we are not in") {
		t.Error(err)
	}
	if _, err := Find(root, "", 9); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	if _, err := Find(root, "containerd://x", 9); err == nil {
		t.Error("that is no id")
	}
}
