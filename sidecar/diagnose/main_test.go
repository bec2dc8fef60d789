package diagnose

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// program names what this test binary is instead of a test.
const program = "DIAGNOSE_TEST_PROGRAM"

var programs = map[string]func() error{}

// TestMain is also every program that the tests start.
func TestMain(m *testing.M) {
	if name := os.Getenv(program); name != "" {
		os.Unsetenv(program)
		if err := programs[name](); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// running is a program that runs until the test ends.
type running struct {
	*exec.Cmd
	lines chan string
}

// begin starts a program of this test binary, which ends with the test.
func begin(t *testing.T, attributes syscall.SysProcAttr, name string) *running {
	t.Helper()
	r := &running{Cmd: exec.Command("/proc/self/exe"), lines: make(chan string, 1000)}
	r.Env = append(os.Environ(), program+"="+name)
	attributes.Pdeathsig = unix.SIGKILL
	r.SysProcAttr = &attributes
	out, err := r.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := r.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Stderr = r.Stdout
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // Pdeathsig is about the thread
		defer close(ended)
		err := r.Start()
		started <- err
		if err != nil {
			return
		}
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			r.lines <- scanner.Text()
		}
		close(r.lines)
		_ = r.Wait()
	}()
	if err := <-started; err != nil {
		<-ended
		t.Skipf("a program in namespaces of its own: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = r.Process.Kill()
		<-ended
	})
	return r
}

func (r *running) line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-r.lines:
		if !ok {
			t.Fatal("the program ended")
		}
		return line
	case <-time.After(time.Minute):
		t.Fatal("the program wrote nothing")
	}
	return ""
}

// rest returns all that it writes to its end.
func (r *running) rest() string {
	var b strings.Builder
	for line := range r.lines {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// up tells the test that all is ready, and stays until the test ends.
func up() error {
	fmt.Println("up")
	_, err := os.Stdin.Read(make([]byte, 1))
	_ = err // the end
	return nil
}

func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
}
