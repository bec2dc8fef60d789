package launch_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

func TestRunHandsOnTheStatus(t *testing.T) {
	script := t.TempDir() + "/script"
	if err := os.WriteFile(script, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		fails  bool
	}{
		{[]string{"true"}, 0, false},
		{[]string{"sh", "-c", "exit 42"}, 42, false},
		{[]string{"sh", "-c", "kill -KILL $$"}, 137, false},
		{[]string{"/nowhere/program"}, 127, true},
		{[]string{"no-such-program"}, 127, true},
		{[]string{script}, 126, true},
	} {
		status, err := launch.Run(t.Context(), launch.Spec{Path: c.args[0], Args: c.args[1:], Env: os.Environ()})
		if status != c.status || (err != nil) != c.fails {
			t.Errorf("%v: %d, %v", c.args, status, err)
		}
	}
}

func init() {
	// Says each signal that it gets. A shell would not do: it takes an interrupt
	// for its command's if that ends by itself in the same moment.
	programs["signals"] = func([]string) int {
		got := make(chan os.Signal, 100)
		signal.Notify(got)
		fmt.Println("up")
		for s := range got {
			if s != unix.SIGURG { // Go's own
				fmt.Println(int(s.(syscall.Signal)))
			}
		}
		return 0
	}
}

func TestSignalsArePassedOn(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := begin(t, nil, "run", "env", program+"=signals", exe)
	p.expect(t, "up")
	for _, s := range []syscall.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
		unix.SIGALRM, unix.SIGWINCH, unix.SIGIO, unix.SIGPWR, 35, 64,
	} {
		if err := p.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		t.Log(s)
		p.expect(t, strconv.Itoa(int(s)))
	}
}

func TestSignalsReachTheWholeGroup(t *testing.T) {
	const inner = `trap "echo inner; exit" USR1; echo up; while :; do sleep 0.01; done`
	p := begin(t, nil, "run", "sh", "-c", "exec 2>/dev/null; trap 'echo outer; exit 6' USR1; sh -c '"+inner+"' & while :; do wait; done")
	p.expect(t, "up")
	if err := p.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{p.line(t): true, p.line(t): true}
	if !got["inner"] || !got["outer"] {
		t.Error("got it:", got)
	}
	if status := p.end(t); status != 6 {
		t.Error("status", status)
	}
}

func TestStopAndContinueArePassedOn(t *testing.T) {
	p := begin(t, nil, "run", "sh", "-c", "echo $$; exec sleep 1000")
	pid, err := strconv.Atoi(p.line(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		signal  syscall.Signal
		stopped bool
	}{{unix.SIGTSTP, true}, {unix.SIGCONT, false}, {unix.SIGTSTP, true}, {unix.SIGCONT, false}} {
		if err := p.Process.Signal(s.signal); err != nil {
			t.Fatal(err)
		}
		eventually(t, s.signal.String(), func() bool { return (stateOf(pid) == "T") == s.stopped })
	}
}

func TestWhatIsIgnoredStaysIgnored(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "nohup", exe, "grep", "SigIgn", "/proc/self/status")
	cmd.Env = append(os.Environ(), program+"=run")
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(strings.TrimSpace(string(out)), "1") {
		t.Errorf("HUP, which nohup ignores, is not ignored by the program: %s", out)
	}
}

func TestTermEscalatesToKill(t *testing.T) {
	p := begin(t, nil, "run-with-grace", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done")
	p.expect(t, "up")
	begin := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := p.end(t); status != 137 {
		t.Error("status", status)
	}
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("KILL came after %v", took)
	}
}

func TestEndOfTheContextStopsTheProgram(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		b := make([]byte, 1)
		_, _ = r.Read(b)
		cancel()
	}()
	status, err := launch.Run(ctx, launch.Spec{
		Path: "sh", Args: []string{"-c", "trap 'exit 4' TERM; echo; while :; do sleep 0.01; done"},
		Env: os.Environ(), Stdout: w, Grace: time.Minute,
	})
	w.Close()
	if status != 4 || err != nil {
		t.Error(status, err)
	}
}

// A context that ends while the program is being started must stop it, and
// nobody else: the group's number is not known yet.
func TestContextThatEndsAtTheStartStopsTheProgramAlone(t *testing.T) {
	for i := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Duration(i) * 20 * time.Microsecond)
			cancel()
		}()
		status, err := launch.Run(ctx, launch.Spec{Path: "sleep", Args: []string{"1000"}, Env: os.Environ(), Grace: time.Minute})
		if err == nil && status != 143 || err != nil && ctx.Err() == nil {
			t.Fatal(status, err)
		}
	}
}
