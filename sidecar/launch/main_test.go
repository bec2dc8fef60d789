package launch_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

// program names what this test binary is instead of a test.
const program = "LAUNCH_TEST_PROGRAM"

var programs = map[string]func(args []string) int{}

// TestMain is also every program that the tests start.
func TestMain(m *testing.M) {
	if name := os.Getenv(program); name != "" {
		os.Unsetenv(program)
		os.Exit(programs[name](os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

func init() {
	programs["run"] = func(args []string) int { return runProgram(args, 0) }
	programs["run-with-grace"] = func(args []string) int { return runProgram(args, 300*time.Millisecond) }
}

// runProgram is what a container's entry point does.
func runProgram(args []string, grace time.Duration) int {
	status, err := launch.Run(context.Background(), launch.Spec{
		Path: args[0], Args: args[1:], Env: os.Environ(), Grace: grace,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		fmt.Println("error:", err)
	}
	return status
}

// process is a program of this test binary.
type process struct {
	*exec.Cmd
	lines chan string
	ended chan struct{}
}

// begin starts a program, which ends with the test.
func begin(t *testing.T, attributes *syscall.SysProcAttr, name string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(exe, args...), lines: make(chan string, 1000), ended: make(chan struct{})}
	p.Env = append(os.Environ(), program+"="+name)
	if attributes == nil {
		attributes = &syscall.SysProcAttr{}
	}
	attributes.Pdeathsig = syscall.SIGKILL
	p.SysProcAttr = attributes
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stderr = p.Stdout
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is about the thread
		defer close(p.ended)
		started <- p.Start()
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
		close(p.lines)
		_ = p.Wait()
	}()
	if err := <-started; err != nil {
		<-p.ended
		if err := err; strings.Contains(err.Error(), "operation not permitted") {
			t.Skipf("starting a program in namespaces of its own takes root: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		for range p.lines {
		}
		<-p.ended
	})
	return p
}

// line returns the next line that the program writes.
func (p *process) line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			t.Fatal("the program ended")
		}
		return line
	case <-time.After(time.Minute):
		t.Fatal("the program wrote nothing")
	}
	return ""
}

// expect waits for a line.
func (p *process) expect(t *testing.T, want string) {
	t.Helper()
	if got := p.line(t); got != want {
		t.Fatalf("it wrote %q, not %q", got, want)
	}
}

// end waits for the program's end and returns its status.
func (p *process) end(t *testing.T) int {
	t.Helper()
	for line := range p.lines {
		t.Log(line)
	}
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	return launch.Status(p.ProcessState)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}

// alive says whether a process is there and no zombie.
func alive(pid int) bool {
	state := stateOf(pid)
	return state != "" && state != "Z" && state != "X"
}

// stateOf returns the letter of /proc/PID/stat, empty if there is none.
func stateOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

func root(t *testing.T) {
	t.Helper()
	if unix.Geteuid() != 0 {
		t.Skip("takes root")
	}
}

// output runs a child to its end and returns what it wrote.
func output(t *testing.T, s launch.Spec) (text string, status int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.Stdout, s.Stderr = w, w
	c, err := launch.Start(s)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := bufio.NewReader(r).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	state, err := c.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), launch.Status(state)
}
