package diagnose

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/internal/podtest"
)

var (
	targetID = strings.Repeat("a", 64)
	ourID    = strings.Repeat("d", 64)
)

func init() {
	// The debug container's first process, in a /dev of its own.
	programs["session"] = func() error {
		if err := podtest.Enter(true); err != nil {
			return err
		}
		if err := ownDevices(os.Getenv("TEST_LAST_WORDS")); err != nil {
			return err
		}
		return debugAs()
	}
	// What kubectl exec starts in it.
	programs["entered"] = debugAs
	// A target: a container with a root of its own.
	programs["target"] = func() error {
		if err := container(func(dir string) error {
			if err := plainRelease(dir); err != nil {
				return err
			}
			return os.WriteFile(dir+"/etc/of-the-target", []byte("read me\n"), 0o644)
		}); err != nil {
			return err
		}
		return up()
	}
	programs["missing"] = func() error {
		fmt.Println(missing(os.Getppid()))
		return nil
	}
}

func debugAs() error {
	os.Setenv(program, "debug")
	return syscall.Exec("/proc/self/exe", append([]string{"debug"}, os.Args[1:]...), os.Environ())
}

// ownDevices mounts a /dev with what a shell takes and a file for last words.
func ownDevices(lastWords string) error {
	var held []*os.File
	names := []string{"null", "tty", "zero"}
	for _, name := range names {
		f, err := os.OpenFile("/dev/"+name, unix.O_PATH, 0)
		if err != nil {
			return err
		}
		held = append(held, f)
	}
	words, err := os.OpenFile(lastWords, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", 0, "size=1m"); err != nil {
		return err
	}
	for i, f := range append(held, words) {
		name := append(names, "termination-log")[i]
		if err := os.WriteFile("/dev/"+name, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), "/dev/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding %s: %w", name, err)
		}
	}
	return nil
}

// terminal is a pseudo terminal, and what it showed.
type terminal struct {
	master, slave *os.File
	mu            sync.Mutex
	shown         strings.Builder
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo terminal: %v", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody looks at it.
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 200}); err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: os.NewFile(uintptr(fd), "ptmx"), slave: slave}
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := term.master.Read(b)
			if err != nil {
				return
			}
			term.mu.Lock()
			term.shown.Write(b[:n])
			term.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		slave.Close()
		term.master.Close()
		reading.Wait()
		if t.Failed() {
			t.Logf("the terminal showed:\n%s", term.shown.String())
		}
	})
	return term
}

func (term *terminal) types(t *testing.T, text string) {
	t.Helper()
	if _, err := term.master.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.shown.String()
}

func (term *terminal) expect(t *testing.T, want string) {
	t.Helper()
	eventually(t, "the terminal shows "+want, func() bool { return strings.Contains(term.text(), want) })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}

// prompt is what bash writes when it waits for a line, whatever its prompt is.
const prompt = "\x1b[?2004h"

// sitting is a debug session in a pod whose processes are shared.
type sitting struct {
	pod    *podtest.Pod
	target *exec.Cmd
	debug  *exec.Cmd
	term   *terminal
	words  string // the file with the last words
	ended  chan struct{}
}

// sit starts a pod with a pause process, a target, and a session about it with
// a terminal.
func sit(t *testing.T, env []string, args ...string) *sitting {
	t.Helper()
	s := &sitting{pod: podtest.New(t), term: newTerminal(t), words: filepath.Join(t.TempDir(), "words"), ended: make(chan struct{})}
	if err := os.WriteFile(s.words, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	pause := exec.Command("/proc/self/exe")
	pause.Env = append(os.Environ(), program+"=plain")
	s.begin(t, strings.Repeat("f", 64), pause)
	s.target = exec.Command("/proc/self/exe")
	s.target.Env = append(os.Environ(), program+"=target")
	s.begin(t, targetID, s.target)
	s.debug = exec.Command("/proc/self/exe", args...)
	s.debug.Env = append(append(os.Environ(), program+"=session", "HISTFILE=", "TEST_LAST_WORDS="+s.words, "TARGET_PID=old",
		"DEBUGSIDECAR_TARGET_CONTAINER=app", "DEBUGSIDECAR_TARGET_ID=containerd://"+targetID, "DEBUGSIDECAR_POD=cams/cam-0"), env...)
	s.debug.Stdin, s.debug.Stdout, s.debug.Stderr = s.term.slave, s.term.slave, s.term.slave
	s.debug.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.pod.Start(t, ourID, s.debug)
	go func() { defer close(s.ended); _ = s.debug.Wait() }()
	t.Cleanup(func() { _ = s.debug.Process.Kill(); <-s.ended })
	return s
}

// begin starts a container and waits until it is up.
func (s *sitting) begin(t *testing.T, id string, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.pod.Start(t, id, cmd)
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "up\n" {
		t.Fatalf("the container says %q", line)
	}
}

// end waits for the session's end.
func (s *sitting) end(t *testing.T) (status int, words string) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the session does not end")
	}
	text, err := os.ReadFile(s.words)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.target.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the target: %v", err)
	}
	return s.debug.ProcessState.ExitCode(), strings.TrimSpace(string(text))
}

func TestTheShellHasTheTarget(t *testing.T) {
	root(t)
	s := sit(t, []string{"DEBUGSIDECAR_SESSION_TTL=1h0m0s", "DEBUGSIDECAR_SESSION_USER=ann\x1b[31m@example.com", "DEBUGSIDECAR_SESSION_TICKET=OPS-7"})
	s.term.expect(t, prompt)
	for _, want := range []string{
		"debugsidecar in pod cams/cam-0", "until ", " UTC (in ", "recorded for ann?[31m@example.com, ticket: OPS-7",
		"app: pid ", "its control group has the container's id", "/root, Test [31mOS ($TARGET_ROOT)", "of other containers: 1 ",
	} {
		s.term.expect(t, want)
	}
	if strings.Contains(s.term.text(), "app: pid 1 ") {
		t.Error("process 1 was taken for the target")
	}
	s.term.types(t, "cat $TARGET_ROOT/etc/of-the-target; echo $(grep -c "+targetID+" /proc/$TARGET_PID/cgroup)st\n")
	s.term.expect(t, "read me\r\n1st\r\n")
	s.term.types(t, "exit 5\n")
	if status, words := s.end(t); status != 5 || words != "the shell ended with status 5" {
		t.Errorf("%d, %q", status, words)
	}
}

// Who is attached goes; the runtime holds the terminal open. Then somebody
// attaches again.
func TestTheShellOutlivesWhoIsAttached(t *testing.T) {
	root(t)
	s := sit(t, nil, "--no-greeting")
	s.term.expect(t, prompt)
	if strings.Contains(s.term.text(), "debugsidecar in pod") {
		t.Error("it greets")
	}
	s.term.types(t, "marker=kept; sleep 0.2; echo gone\n")
	// Nobody reads or types for a while; what came is what the next one sees.
	time.Sleep(500 * time.Millisecond)
	s.term.types(t, "echo $marker-$$\n")
	s.term.expect(t, "kept-")
	s.term.types(t, "exit\n")
	if status, words := s.end(t); status != 0 || words != "the shell ended with status 0" {
		t.Errorf("%d, %q", status, words)
	}
}

func TestAClosedTerminalEndsTheSession(t *testing.T) {
	root(t)
	s := sit(t, nil)
	s.term.expect(t, prompt)
	s.term.slave.Close()
	s.term.master.Close()
	if status, words := s.end(t); status != 129 || !strings.HasPrefix(words, "the session's terminal was closed") {
		t.Errorf("%d, %q", status, words)
	}
}

func TestTERMEndsTheSession(t *testing.T) {
	root(t)
	s := sit(t, nil)
	s.term.expect(t, prompt)
	if err := s.debug.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status, words := s.end(t); status != 143 || !strings.HasPrefix(words, "the session got the signal SIGTERM") {
		t.Errorf("%d, %q", status, words)
	}
}

func TestTheTimeEndsAllOfTheContainerAndNothingElse(t *testing.T) {
	root(t)
	for _, c := range []struct {
		name string
		ttl  string
		stop bool // the terminal's output, by Ctrl-S
	}{
		{"TTL", "8s", false},
		{"until", "1h0m0s", false},
		{"TTL, the terminal stopped", "8s", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin := time.Now()
			env := []string{"DEBUGSIDECAR_SESSION_TTL=" + c.ttl}
			if c.name == "until" {
				env = append(env, "DEBUGSIDECAR_SESSION_UNTIL="+begin.Add(9*time.Second).UTC().Format(time.RFC3339))
			}
			s := sit(t, env, "--grace", "2s")
			s.term.expect(t, prompt)
			// A job that ignores TERM, and a daemon; what kubectl exec starts comes in
			// later and waits for its own terminal.
			s.term.types(t, "(trap '' TERM HUP; sleep 61) & setsid -f sh -c \"trap '' TERM; sleep 61\"\n")
			entered := exec.Command("/proc/self/exe", "--", "sh", "-c", "trap '' TERM; echo in; sleep 61; sleep 61")
			entered.Env = append(os.Environ(), program+"=entered")
			entered.Env = append(entered.Env, env...)
			out, err := entered.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			s.pod.Exec(t, ourID, s.debug.Process.Pid, entered)
			gone := make(chan struct{})
			line, _ := bufio.NewReader(out).ReadString('\n')
			go func() { defer close(gone); _ = entered.Wait() }()
			t.Cleanup(func() { _ = entered.Process.Kill(); <-gone })
			if line != "in\n" {
				t.Fatalf("exec: %q", line)
			}
			if c.stop {
				s.term.types(t, "\x13echo unseen; yes\n")
			}
			status, words := s.end(t)
			if status != 124 || !strings.HasPrefix(words, "the session's time was over at 2") {
				t.Errorf("%d, %q", status, words)
			}
			if !c.stop && !strings.Contains(s.term.text(), "[debugsidecar] the session's time is over") {
				t.Error("nobody was told")
			}
			if d := time.Since(begin); d < 7*time.Second || d > 30*time.Second {
				t.Errorf("after %v", d)
			}
			select {
			case <-gone:
			case <-time.After(10 * time.Second):
				t.Error("what exec started lives")
			}
			eventually(t, "all of the container ended", func() bool { return len(living(t, s.pod.Path(ourID))) == 0 })
			if len(living(t, s.pod.Path(targetID))) != 1 {
				t.Error("the target is not what it was")
			}
		})
	}
}

// living returns the processes of a container.
func living(t *testing.T, id string) (pids []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
		if strings.Contains(string(text), id) && !strings.Contains(string(stat), ") Z ") { // the pod's process 1 here reaps none
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

func TestASessionThatIsOverDoesNotBegin(t *testing.T) {
	root(t)
	s := sit(t, []string{"DEBUGSIDECAR_SESSION_UNTIL=2026-01-02T03:04:05Z"})
	status, words := s.end(t)
	if status != 124 || words != "the session's time was over before it began" {
		t.Errorf("%d, %q", status, words)
	}
	s.term.expect(t, "this session ended at 2026-01-02T03:04:05Z")
}

func TestTargetsThatAreNotFoundAreNotNamed(t *testing.T) {
	root(t)
	s := sit(t, []string{"DEBUGSIDECAR_TARGET_ID=containerd://" + strings.Repeat("e", 64)})
	s.term.expect(t, "app, not found: no process here is of the container eeeeeeeeeeee")
	s.term.types(t, "echo \"[$TARGET_PID$TARGET_ROOT]\"\n")
	s.term.expect(t, "\r[]\r\n")
	s.term.types(t, "exit\n")
	s.end(t)
}

func TestWhatIsMissingForARootIsNamed(t *testing.T) {
	root(t)
	p := begin(t, syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65533}}, "missing")
	line := p.line(t)
	for _, want := range []string{"we lack its uid 0, while ours is 65532; its gid 0, while ours is 65533; its capabilities ", "CHOWN", "or CAP_SYS_PTRACE instead"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q has no %q", line, want)
		}
	}
}
