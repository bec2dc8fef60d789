package launch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

func init() {
	// Makes orphans, and ends with 0 when somebody has reaped them.
	programs["orphans"] = func([]string) int {
		parent := os.Getppid()
		for range 100 {
			// The shell is the orphan's parent and ends at once.
			if out, err := exec.Command("sh", "-c", "sh -c 'exit 7' & sh -c 'kill -KILL $$' & sleep 0.05 >/dev/null 2>&1 &").CombinedOutput(); err != nil {
				fmt.Println(err, string(out))
				return 1
			}
		}
		// One that is there still, however long it takes to look.
		out, err := exec.Command("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!").Output()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		lasting, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		_, adopter := readStat(fmt.Sprintf("/proc/%d/stat", lasting))
		if err := unix.Kill(lasting, unix.SIGKILL); err != nil {
			fmt.Println(err)
			return 1
		}
		if adopter != parent {
			fmt.Println("somebody else has the orphans:", adopter)
			return 1
		}
		for range 6000 {
			running, zombies := childrenOf(parent)
			if running == 1 && zombies == 0 { // this one
				fmt.Println("reaped")
				return 0
			}
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 10e6}, nil)
		}
		fmt.Println(childrenOf(parent))
		return 2
	}
	// Is process 1 of a PID namespace, as in a container.
	programs["init"] = func(args []string) int {
		if os.Getpid() != 1 {
			fmt.Println("is process", os.Getpid())
			return 1
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fmt.Println(err)
			return 1
		}
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			fmt.Println(err)
			return 1
		}
		return runProgram(args, 0)
	}
	programs["init-with-orphans"] = func([]string) int {
		exe, err := os.Executable()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		os.Setenv(program, "orphans")
		return programs["init"]([]string{exe})
	}
	programs["run-orphans"] = func([]string) int {
		exe, err := os.Executable()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		os.Setenv(program, "orphans")
		return runProgram([]string{exe}, 0)
	}
}

// childrenOf counts the children of a process.
func childrenOf(parent int) (running, zombies int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		state, ppid := readStat(path)
		switch {
		case ppid != parent:
		case state == "Z":
			zombies++
		default:
			running++
		}
	}
	return running, zombies
}

// readStat returns a process's state and parent; 0 if there is no such process.
func readStat(path string) (state string, ppid int) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	ppid, _ = strconv.Atoi(fields[1])
	return fields[0], ppid
}

func TestOrphansAreReapedAsSubreaper(t *testing.T) {
	p := begin(t, nil, "run-orphans")
	p.expect(t, "reaped")
	if status := p.end(t); status != 0 {
		t.Error("status", status)
	}
}

func namespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
}

func TestOrphansAreReapedAsProcess1(t *testing.T) {
	root(t)
	p := begin(t, namespaces(), "init-with-orphans")
	p.expect(t, "reaped")
	if status := p.end(t); status != 0 {
		t.Error("status", status)
	}
}

func TestProcess1PassesOnStatusAndSignals(t *testing.T) {
	root(t)
	p := begin(t, namespaces(), "init", "sh", "-c", "exec 2>/dev/null; trap 'echo got TERM; exit 9' TERM; echo up; while :; do sleep 0.01; done")
	p.expect(t, "up")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "got TERM")
	if status := p.end(t); status != 9 {
		t.Error("status", status)
	}
}

// The classic race: a reaper that waits for anybody takes the exit status from
// whoever waits for a child.
func TestReaperStealsNoStatus(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		// Orphans die all the time.
		status, err := launch.Run(ctx, launch.Spec{Path: "sh", Args: []string{"-c", "while :; do (true & true &); done"}, Env: os.Environ()})
		if status != 137 && status != 143 || err != nil {
			t.Error("the program that runs:", status, err)
		}
	})
	var children sync.WaitGroup
	for worker := range 4 {
		children.Go(func() {
			for i := range 100 {
				want := (worker*100 + i) % 200
				exit := []string{"-c", fmt.Sprint("exit ", want)}
				if worker%2 == 0 {
					c, err := launch.Start(launch.Spec{Path: "/bin/sh", Args: exit})
					if err != nil {
						t.Error(err)
						return
					}
					if state, err := c.Wait(); err != nil || launch.Status(state) != want {
						t.Errorf("a child of Start: %v (%v), not %d", state, err, want)
					}
					continue
				}
				// Others in this program know nothing of us.
				err := exec.Command("/bin/sh", exit...).Run()
				got := 0
				if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
					got = exit.ExitCode()
				} else if err != nil {
					t.Errorf("a child of os/exec: %v", err)
				}
				if got != want {
					t.Errorf("a child of os/exec: %d, not %d", got, want)
				}
			}
		})
	}
	children.Wait()
	cancel()
	run.Wait()
	var left unix.Siginfo
	eventually(t, "no child is left", func() bool {
		return errors.Is(unix.Waitid(unix.P_ALL, 0, &left, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil), unix.ECHILD)
	})
}
