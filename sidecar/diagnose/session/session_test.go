package session

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/internal/podtest"
)

const program = "SESSION_TEST_PROGRAM"

// TestMain is also the containers' processes.
func TestMain(m *testing.M) {
	name := os.Getenv(program)
	if name == "" {
		goleak.VerifyTestMain(m)
		return
	}
	os.Unsetenv(program)
	if err := programs[name](); err != nil {
		fmt.Println("error:", err)
	}
}

var programs = map[string]func() error{
	// tells of each signal.
	"witness": func() error {
		signals := make(chan os.Signal, 16)
		signal.Notify(signals)
		fmt.Println("up", os.Getpid())
		for s := range signals {
			// Go's own, and the kernel's word to process 1 about an orphan.
			if s != unix.SIGURG && s != unix.SIGCHLD {
				fmt.Println("got", s)
			}
		}
		return nil
	},
	"stubborn": func() error {
		signal.Ignore(unix.SIGTERM, unix.SIGHUP)
		fmt.Println("up", os.Getpid())
		time.Sleep(time.Minute)
		return nil
	},
	// went to other mounts, as nsenter and unshare do.
	"elsewhere": func() error {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		return syscall.Exec("/proc/self/exe", []string{"elsewhere"}, append(os.Environ(), program+"=stubborn"))
	},
	"session": func() error {
		if err := podtest.Enter(os.Getenv("NAMESPACE") != ""); err != nil {
			return err
		}
		self, err := Look()
		if err != nil {
			return err
		}
		fmt.Println("first", self.First())
		for _, name := range []string{"stubborn", "elsewhere"} {
			child := exec.Command("/proc/self/exe")
			child.Env = append(os.Environ(), program+"="+name)
			child.Stdout = os.Stdout
			if err := child.Start(); err != nil {
				return err
			}
			go func() { _ = child.Wait() }()
		}
		// An orphan in a session of its own, as a daemon.
		daemon := exec.Command("sh", "-c", "trap '' TERM HUP; setsid sh -c \"trap '' TERM HUP; echo up daemon; sleep 60\" & exit")
		daemon.Stdout = os.Stdout
		if err := daemon.Run(); err != nil {
			return err
		}
		_, _ = os.Stdin.Read(make([]byte, 1))
		fmt.Println("left", self.End(300*time.Millisecond))
		_, _ = os.Stdin.Read(make([]byte, 1))
		return nil
	},
	// has two terminals, one of which was stopped, and tells.
	"tell": func() error {
		if err := podtest.Enter(true); err != nil {
			return err
		}
		if err := unix.Mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666"); err != nil {
			return err
		}
		var masters [2]int
		for i := range masters {
			fd, err := unix.Open("/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
			if err != nil {
				return err
			}
			if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
				return err
			}
			masters[i] = fd
		}
		slave, err := unix.Open("/dev/pts/1", unix.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			return err
		}
		if err := unix.IoctlSetInt(slave, unix.TCXONC, unix.TCOOFF); err != nil {
			return err
		}
		self, err := Look()
		if err != nil {
			return err
		}
		self.Tell(os.Stderr, "the end is near")
		for _, fd := range masters {
			b := make([]byte, 100)
			n, err := unix.Read(fd, b)
			fmt.Printf("read %q %v\n", b[:max(n, 0)], err)
		}
		return nil
	},
	"look": func() error {
		self, err := Look()
		fmt.Println("first", self.First(), err)
		return nil
	},
}

type process struct {
	*exec.Cmd
	lines chan string
	in    io.WriteCloser
}

func prepare(t *testing.T, name string, env ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command("/proc/self/exe"), lines: make(chan string, 1000)}
	p.Env = append(append(os.Environ(), program+"="+name), env...)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
		close(p.lines)
	}()
	t.Cleanup(func() {
		if p.Process != nil {
			_ = p.Process.Kill()
		}
		<-ended
		_ = p.Wait()
	})
	return p
}

func (p *process) line(t *testing.T, prefix string) string {
	t.Helper()
	select {
	case line := <-p.lines:
		if !strings.HasPrefix(line, prefix) {
			t.Fatalf("%q, not %q", line, prefix)
		}
		return line
	case <-time.After(30 * time.Second):
		t.Fatalf("no %q", prefix)
	}
	return ""
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[0] != 'Z' && rest[0] != 'X'
}

// members returns the living processes of a control group of the pod.
func members(t *testing.T, group string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if strings.Contains(string(text), group) && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func describe(pids []int) (text string) {
	for _, pid := range pids {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		mounts, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		text += fmt.Sprintf("\n%s %q %.200s", mounts, line, status)
	}
	return text
}

func TestTheEndIsOursAloneInAPodThatSharesItsProcesses(t *testing.T) {
	target, ours := strings.Repeat("a", 64), strings.Repeat("d", 64)
	for _, namespace := range []string{"", "yes"} {
		t.Run("namespace of control groups: "+namespace, func(t *testing.T) {
			pod := podtest.New(t)
			first := prepare(t, "witness")
			pod.Start(t, target, first.Cmd) // process 1: orphans become its children
			first.line(t, "up 1")
			s := prepare(t, "session", "NAMESPACE="+namespace)
			pod.Start(t, ours, s.Cmd)
			s.line(t, "first true")
			for range 3 {
				s.line(t, "up")
			}
			second := prepare(t, "witness")
			pod.Exec(t, target, first.Process.Pid, second.Cmd)
			// With one sign of ours each: our group by another's mounts, and our mounts
			// in another's group.
			group, mounts := prepare(t, "witness"), prepare(t, "witness")
			pod.Start(t, ours, group.Cmd)
			pod.Exec(t, target, s.Process.Pid, mounts.Cmd)
			witnesses := []*process{first, second, group, mounts}
			for _, w := range witnesses[1:] {
				w.line(t, "up")
			}
			entered := prepare(t, "stubborn")
			pod.Exec(t, ours, s.Process.Pid, entered.Cmd)
			entered.line(t, "up")
			look := prepare(t, "look")
			pod.Exec(t, ours, s.Process.Pid, look.Cmd)
			look.line(t, "first false <nil>")
			if n := len(members(t, pod.Path(ours))); n < 7 {
				t.Fatalf("%d processes in our group", n)
			}

			s.in.Write([]byte("x"))
			s.line(t, "left 0")
			got := members(t, pod.Path(ours))
			for end := time.Now().Add(10 * time.Second); len(got) > 2 && time.Now().Before(end); got = members(t, pod.Path(ours)) {
				time.Sleep(20 * time.Millisecond) // some are about to be gone
			}
			if len(got) != 2 || !alive(s.Process.Pid) || !alive(group.Process.Pid) {
				t.Errorf("in our group are %v left: %s", got, describe(got))
			}
			if alive(entered.Process.Pid) {
				t.Error("what exec started lives")
			}
			for i, w := range witnesses {
				if !alive(w.Process.Pid) {
					t.Errorf("witness %d is dead", i)
				}
				select {
				case line := <-w.lines:
					t.Errorf("witness %d: %s", i, line)
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
}

// One that is stopped (Ctrl-S) neither blocks nor gets it.
func TestAllTerminalsOfTheContainerAreTold(t *testing.T) {
	pod := podtest.New(t)
	p := prepare(t, "tell")
	pod.Start(t, "x", p.Cmd)
	p.line(t, `read "\r\r\n[debugsidecar] the end is near\r\r\n" <nil>`)
	p.line(t, `read "" resource temporarily unavailable`)
}

// On a machine, or below a shell of the session, all around us is not ours.
func TestOutsideAContainerOnlyWhatIsBelowUsIsOurs(t *testing.T) {
	self, err := Look()
	if err != nil {
		t.Fatal(err)
	}
	if self.First() {
		t.Fatal("we have a parent")
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	all, err := self.ours()
	if err != nil || len(all) != 1 || all[0].PID != child.Process.Pid {
		t.Errorf("%+v, %v", all, err)
	}
	// A process that got another's number is not signalled.
	all[0].Start--
	send(all[0], unix.SIGKILL)
	time.Sleep(50 * time.Millisecond)
	if !alive(child.Process.Pid) {
		t.Error("the wrong process was killed")
	}
	all[0].Start++
	send(all[0], unix.SIGKILL)
	_ = child.Wait()
}

func TestTimes(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) string { return now.Add(d).UTC().Format(time.RFC3339) }
	for _, c := range []struct {
		name, ttl, until string
		want             time.Duration // from now; -1: no end
		problem          bool
	}{
		{"no session", "", "", -1, false},
		{"without an end", "0s", "", -1, false},
		{"from our start", "1h0m0s", "", time.Hour, false},
		{"the webhook's", "1h0m0s", at(50 * time.Minute), 50 * time.Minute, false},
		{"the node's clock is late", "10m0s", at(5 * time.Hour), 10 * time.Minute, false},
		{"the webhook's alone", "", at(time.Minute), time.Minute, false},
		{"past", "10m0s", at(-time.Hour), -time.Hour, false},
		{"a TTL that is none", "soon", "", time.Hour, true},
		{"less than none", "-1s", "", time.Hour, true},
		{"a time that is none", "", "tomorrow", time.Hour, true},
		{"a time that is none, and a TTL", "5m0s", "tomorrow", 5 * time.Minute, true},
		{"neither can be read", "x", "y", time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Read(func(name string) string {
				return map[string]string{"DEBUGSIDECAR_SESSION_TTL": c.ttl, "DEBUGSIDECAR_SESSION_UNTIL": c.until}[name]
			}, now)
			if (got.Problem != "") != c.problem {
				t.Errorf("problem %q", got.Problem)
			}
			end, ends := got.Ends()
			if ends != (c.want != -1) {
				t.Fatalf("ends: %v", ends)
			}
			if d := end.Sub(now.Add(c.want)).Abs(); ends && d > 2*time.Second {
				t.Errorf("ends %v, not %v", end.Sub(now), c.want)
			}
		})
	}
}

func TestPeopleAreWarnedAndTheTimeEnds(t *testing.T) {
	for _, c := range []struct {
		ttl  time.Duration
		want []string
	}{
		{time.Hour, []string{"55m0s 5 minutes", "59m0s 1 minute", "1h0m0s over"}},
		{3 * time.Minute, []string{"2m0s 1 minute", "3m0s over"}},
		{20 * time.Second, []string{"20s over"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			var got []string
			s := Time{TTL: c.ttl, started: begin}
			over := s.Wait(t.Context(), func(text string) {
				_, in, _ := strings.Cut(text, "ends in ")
				in, at, _ := strings.Cut(in, ", at ")
				if !strings.HasPrefix(at, begin.Add(c.ttl).UTC().Format(time.TimeOnly)) || !strings.Contains(text, "kubectl debugsidecar debug") {
					t.Errorf("%q", text)
				}
				got = append(got, time.Since(begin).String()+" "+in)
			})
			if over {
				got = append(got, time.Since(begin).String()+" over")
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, s := range []Time{{}, {TTL: time.Hour, started: time.Now()}} {
		if s.Wait(ctx, nil) {
			t.Error("a session that was left is over")
		}
	}
}

func TestLastWords(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	if err := lastWords(file, "x"); err == nil {
		t.Error("a file was made")
	}
	if err := os.WriteFile(file, []byte("what was there, and is longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lastWords(file, "left"); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(file); string(text) != "left\n" {
		t.Errorf("%q", text)
	}
	if err := lastWords(file, strings.Repeat("x", 10000)); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(file); len(text) != 4096 {
		t.Errorf("%d bytes", len(text))
	}
	if err := os.Symlink(file, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/link", "/pipe", ""} {
		if err := lastWords(dir+name, "x"); err == nil {
			t.Errorf("%q was written to", name)
		}
	}
}
