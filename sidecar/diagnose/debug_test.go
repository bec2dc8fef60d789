package diagnose

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	// As the program's main does it.
	programs["debug"] = func() error {
		c := DebugCommand()
		c.SilenceUsage, c.SilenceErrors = true, true
		c.SetArgs(os.Args[1:])
		err := c.Execute()
		var status interface{ ExitStatus() int }
		if errors.As(err, &status) {
			os.Exit(status.ExitStatus())
		}
		return err
	}
}

// debug runs the debug command with arguments.
func debug(t *testing.T, stdin io.Reader, args ...string) (out, errs string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), program+"=debug")
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), status
}

func TestDebugRunsTheCommand(t *testing.T) {
	for _, c := range []struct {
		args   []string
		out    string
		errs   string
		status int
	}{
		{[]string{"--", "sh", "-c", "cat; exit 4"}, "typed\n", "", 4},
		{[]string{"sh", "-c", "exit 5"}, "", "", 5},
		{[]string{"--", "sh", "-c", "kill -KILL $$"}, "", "", 137},
		{[]string{"--", "/nowhere"}, "", "sidecar: starting /nowhere: fork/exec /nowhere: no such file or directory\n", 127},
		{[]string{"true"}, "", "", 0},
	} {
		out, errs, status := debug(t, strings.NewReader("typed\n"), c.args...)
		if out != c.out || errs != c.errs || status != c.status {
			t.Errorf("%v: %q, %q, %d", c.args, out, errs, status)
		}
	}
}

func TestDebugWithoutCommandIsAShell(t *testing.T) {
	out, errs, status := debug(t, strings.NewReader("echo hello; exit 6\n"))
	if out != "hello\n" || status != 6 {
		t.Errorf("%q, %q, %d", out, errs, status)
	}
	if !strings.HasPrefix(errs, "debugsidecar\n") || !strings.Contains(errs, "sidecar doctor") || !strings.Contains(errs, "  we        uid ") {
		t.Errorf("the greeting is %q", errs)
	}
}

// A container whose pod has no stdin: a shell would end, and be started again and
// again.
func TestDebugWaitsWhereNobodyCanType(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), program+"=debug")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stderr = w
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b := make([]byte, 4096)
	text := ""
	for !strings.Contains(text, "waiting") {
		n, err := r.Read(b)
		if err != nil {
			t.Fatalf("it did not wait: %v %q", err, text)
		}
		text += string(b[:n])
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("TERM ends the wait with %v", err)
	}
}

func TestOtherContainersProcessesAreNamedWithoutArguments(t *testing.T) {
	proc := t.TempDir()
	write := func(pid int, cgroup, name, state string, root bool) {
		dir := filepath.Join(proc, fmt.Sprint(pid))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{
			"cgroup": cgroup, "stat": fmt.Sprintf("%d (%s) %s 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0", pid, name, state),
			"cmdline": "ffmpeg\x00rtsp://u:secret@camera",
		} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if root {
			if err := os.Mkdir(filepath.Join(dir, "root"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(7, "0::/\n", "sidecar", "S", true)
	write(8, "0::/\n", "sh", "S", true)
	write(1, "0::/../pause\n", "pause", "S", false)
	write(30, "0::/../app\n", "ff\x1b[2Jmpeg", "R", true)
	write(31, "0::/../app\n", "zombie", "Z", true)
	got := foreignProcesses(proc, 7)
	if want := fmt.Sprint([]seen{{1, "pause", false}, {30, "ff?[2Jmpeg", true}}); fmt.Sprint(got) != want {
		t.Errorf("%v, not %s", got, want)
	}
}

func TestListeningPortsAreRead(t *testing.T) {
	net := t.TempDir()
	const header = "  sl  local_address rem_address   st tx_queue rx_queue\n"
	for name, text := range map[string]string{
		"tcp": header + "   0: 0100007F:1F90 00000000:0000 0A 0 0\n   1: 0100007F:0050 00000000:0000 0A 0 0\n   2: 0100007F:9999 0100007F:1F90 01 0 0\n",
		"tcp6": header + "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0 0\n" +
			"garbage\n   1: zz 0 0A\n",
		"udp": header + "   0: 00000000:138C 00000000:0000 07 0 0\n",
	} {
		if err := os.WriteFile(filepath.Join(net, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := listening(net); got != "tcp 80 8080, udp 5004" {
		t.Errorf("%q", got)
	}
}
