package launch_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

func TestStatusIsThatOfAShell(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -TERM $$": 143, "kill -SEGV $$": 139} {
		if _, got := output(t, launch.Spec{Path: "sh", Args: []string{"-c", script}}); got != want {
			t.Errorf("%s: %d, not %d", script, got, want)
		}
	}
}

func TestChildGetsOnlyWhatIsNamed(t *testing.T) {
	t.Setenv("SECRET", "x")
	extra, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	secret, err := os.Open("/dev/zero") // close-on-exec, as all of Go's files
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	dir := t.TempDir()
	got, status := output(t, launch.Spec{
		Path: "/bin/sh", Args: []string{"-c", `echo "$A ${SECRET-none}"; pwd; echo extra >&3; ls -l /proc/$$/fd | grep -c zero`},
		Env: []string{"A=b"}, Dir: dir, ExtraFiles: []*os.File{extra},
	})
	if want := "b none\n" + dir + "\n0\n"; got != want || status != 1 {
		t.Errorf("status %d, said %q, not %q", status, got, want)
	}
	if b, _ := os.ReadFile(extra.Name()); string(b) != "extra\n" {
		t.Errorf("file 3 got %q", b)
	}
	if got, _ := output(t, launch.Spec{Path: "/usr/bin/env"}); got != "" {
		t.Errorf("without Env the child inherited %q", got)
	}
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	_, err := launch.Start(launch.Spec{Path: "/nowhere/worker"})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "starting /nowhere/worker") {
		t.Error(err)
	}
	if _, err := launch.Start(launch.Spec{Path: "no-such-program"}); !errors.Is(err, exec.ErrNotFound) {
		t.Error(err)
	}
}

// grandparent starts a child with a child of its own in the same group, and
// returns both once they are there.
func grandparent(t *testing.T, script string) (c *launch.Child, grandchild int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err = launch.Start(launch.Spec{Path: "/bin/sh", Args: []string{"-c", script}, Stdout: w, Env: []string{"PATH=" + os.Getenv("PATH")}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if grandchild, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	return c, grandchild
}

func TestSignalsGoToTheWholeGroup(t *testing.T) {
	c, grandchild := grandparent(t, "sleep 1000 & echo $!; wait")
	if err := c.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are stopped", func() bool { return stateOf(c.PID()) == "T" && stateOf(grandchild) == "T" })
	if state, err := c.Stop(time.Minute); err != nil || launch.Status(state) != 143 {
		t.Errorf("a stopped child ended by %v (%v)", state, err)
	}
	eventually(t, "the grandchild ends", func() bool { return !alive(grandchild) })
	if err := c.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal after the end: %v", err)
	}
	c.Kill() // and nothing happens
}

func TestNothingOfTheGroupIsLeft(t *testing.T) {
	c, grandchild := grandparent(t, "trap '' TERM; sleep 1000 & echo $!; exit 5")
	if state, err := c.Wait(); err != nil || launch.Status(state) != 5 {
		t.Error(state, err)
	}
	eventually(t, "the grandchild ends", func() bool { return !alive(grandchild) })
}

func TestStopEscalatesAtTheDeadline(t *testing.T) {
	c, grandchild := grandparent(t, "trap '' TERM; sleep 1000 & echo $!; while :; do wait; done")
	const deadline = 200 * time.Millisecond
	begin := time.Now()
	state, err := c.Stop(deadline)
	if err != nil || launch.Status(state) != 137 {
		t.Errorf("ended by %v (%v), not by KILL", state, err)
	}
	if took := time.Since(begin); took < deadline {
		t.Errorf("KILL came after %v", took)
	}
	eventually(t, "the grandchild ends", func() bool { return !alive(grandchild) })
}

func TestStopIsOneForAllCallers(t *testing.T) {
	c, _ := grandparent(t, "sleep 1000 & echo $!; wait")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if state, err := c.Stop(time.Minute); err != nil || launch.Status(state) != 143 {
				t.Error(state, err)
			}
		})
		wg.Go(func() { <-c.Done() })
	}
	wg.Wait()
}

func init() {
	programs["parent"] = func([]string) int {
		c, err := launch.Start(launch.Spec{Path: "sleep", Args: []string{"1000"}, Unprivileged: true})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(c.PID())
		select {}
	}
}

func TestChildDiesWithUs(t *testing.T) {
	p := begin(t, nil, "parent")
	pid, err := strconv.Atoi(p.line(t))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Fatal("the child is not there")
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child dies", func() bool { return !alive(pid) })
}

// The kernel kills a child when the thread that started it ends: that thread
// must stay, whatever became of the goroutine that called Start.
func TestChildOutlivesTheThreadOfStartsCaller(t *testing.T) {
	children := make(chan *launch.Child, 20)
	for range cap(children) {
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends
			c, err := launch.Start(launch.Spec{Path: "sleep", Args: []string{"1000"}})
			if err != nil {
				t.Error(err)
			}
			children <- c
		}()
	}
	for range cap(children) {
		if c := <-children; c != nil {
			defer c.Kill()
			defer func() {
				if !alive(c.PID()) {
					t.Errorf("%d is dead", c.PID())
				}
			}()
		}
	}
	time.Sleep(100 * time.Millisecond) // threads end meanwhile; a busy machine only makes this easier
}

func TestChildrenLeaveNoThreads(t *testing.T) {
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := threads()
	for range 100 {
		c, err := launch.Start(launch.Spec{Path: "true", Unprivileged: true})
		if err != nil {
			t.Fatal(err)
		}
		if state, err := c.Wait(); err != nil || launch.Status(state) != 0 {
			t.Fatal(state, err)
		}
	}
	eventually(t, "the threads end", func() bool { return threads() < before+20 })
	var zombies unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &zombies, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: %v %+v", err, zombies)
	}
}
