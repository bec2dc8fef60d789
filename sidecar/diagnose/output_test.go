package diagnose

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/internal/podtest"
)

// piped runs the debug command as a container's first process without a terminal.
// With leaves, its runtime reads a line of standard output and then no more.
func piped(t *testing.T, same, leaves bool, slow time.Duration, args ...string) (out, errs, words string, status int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	pod := podtest.New(t)
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), program+"=session", "TEST_LAST_WORDS="+file)
	var reading sync.WaitGroup
	pipe := func(into *string) *os.File {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		reading.Go(func() {
			defer r.Close()
			time.Sleep(slow)
			if leaves && into == &out {
				*into, _ = bufio.NewReader(r).ReadString('\n')
				return
			}
			b, _ := io.ReadAll(r)
			*into = string(b)
		})
		return w
	}
	stdout := pipe(&out)
	stderr := stdout
	if !same {
		stderr = pipe(&errs)
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	pod.Start(t, ourID, cmd)
	stdout.Close()
	stderr.Close()
	begin, ended := time.Now(), make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Error("it does not end")
	}
	if took := time.Since(begin); took < slow-100*time.Millisecond {
		t.Errorf("it ended after %v, before the runtime took what it said", took)
	}
	reading.Wait()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return out, errs, strings.TrimSpace(string(b)), cmd.ProcessState.ExitCode()
}

func TestWhatIsSaidWithoutATerminalIsCounted(t *testing.T) {
	root(t)
	var numbers strings.Builder
	for i := range 20000 {
		fmt.Fprintln(&numbers, i+1)
	}
	for _, c := range []struct {
		name, script string
		same         bool
		slow         time.Duration
		out, errs    string
		bytes        int // one more for each last line that has no end
		status       int
	}{
		{"nothing", "exit 4", false, 0, "", "", 0, 4},
		{"both outputs", "seq 1 20000; echo oops >&2; exit 3", false, 0, numbers.String(), "oops\n", numbers.Len() + 5, 3},
		{"last lines without an end", "printf a; printf b >&2", false, 0, "a", "b", 4, 0},
		{"one output in order", "for i in 1 2 3 4; do echo $i; echo $i >&2; done", true, 0, "1\n1\n2\n2\n3\n3\n4\n4\n", "", 16, 0},
		{"a slow runtime", "seq 1 20000", false, time.Second, numbers.String(), "", numbers.Len(), 0},
		{"a runtime that takes little late", "echo x", false, time.Second, "x\n", "", 2, 0},
		{"a process that holds the output", "setsid -f sh -c \"trap '' TERM HUP; sleep 61\"; echo left", false, 0, "left\n", "", 5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin := time.Now()
			out, errs, words, status := piped(t, c.same, false, c.slow, "--", "sh", "-c", c.script)
			if took := time.Since(begin); c.bytes > 0 && took < leastTime {
				t.Errorf("it ended after %v, before its runtime may have opened its pipes", took)
			}
			if want := fmt.Sprintf("the command sh ended with status %d; %d bytes of output", c.status, c.bytes); words != want {
				t.Errorf("the last words are %q, not %q", words, want)
			}
			if out != c.out || errs != c.errs || status != c.status {
				t.Errorf("%d and %d bytes, status %d: %.100q, %.100q", len(out), len(errs), status, out, errs)
			}
		})
	}
}

// What we say ourselves is in the log, too.
func TestOurOwnWordsAreCounted(t *testing.T) {
	root(t)
	_, errs, words, status := piped(t, false, false, 0, "--", "/nowhere")
	if want := fmt.Sprintf("the command nowhere ended with status 127; %d bytes of output", len(errs)); words != want || errs == "" || status != 127 {
		t.Errorf("%q, %q, %d", words, errs, status)
	}
}

// A runtime that goes away takes the command with it, as without us, and not us.
func TestOutputThatIsTakenNoMoreEndsTheCommand(t *testing.T) {
	root(t)
	out, _, words, status := piped(t, false, true, 0, "--", "sh", "-c", "echo one; while :; do echo more; sleep .1; done")
	if out != "one\n" || status != 141 || words != "the command sh ended with status 141" {
		t.Errorf("%q, %q, %d", out, words, status)
	}
}

// A process that can't be killed, as one in a driver, holds its output open.
func TestOutputThatIsHeldOpenIsNotWaitedFor(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := count(w)
	if err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", c.in.Fd()), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	text := strings.Repeat("a line that is longer than the others\n", 1500)
	if _, err := held.WriteString(text); err != nil {
		t.Fatal(err)
	}
	slow := make(chan string)
	go func() {
		time.Sleep(2 * idle)
		b, _ := io.ReadAll(r)
		slow <- string(b)
	}()
	o := outputs{counted: []*counted{c}}
	if n, ok := o.end(); n != int64(len(text)) || !ok {
		t.Errorf("%d bytes, %t", n, ok)
	}
	w.Close()
	if got := <-slow; got != text {
		t.Errorf("%d of %d bytes arrived", len(got), len(text))
	}
}

func TestOutputThatNobodyTakesIsNotCounted(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c, err := count(w)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := c.in.WriteString("x\n"); err != nil {
		t.Fatal(err)
	}
	o := outputs{counted: []*counted{c}}
	if n, ok := o.end(); ok {
		t.Errorf("%d bytes were counted", n)
	}
}
