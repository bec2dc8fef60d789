package launch_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

// terminal is the far end of a pseudo terminal, where the person sits.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File

	mu    sync.Mutex
	shown strings.Builder
	seen  int // of shown, by expect
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo terminal: %v", err)
	}
	master := os.NewFile(uintptr(fd), "ptmx") // not blocking: Close ends a Read
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
	term := &terminal{t: t, master: master, slave: slave}
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
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
		master.Close() // hangs up
		reading.Wait()
		if t.Failed() {
			t.Logf("the terminal showed:\n%s", term.shown.String())
		}
	})
	return term
}

// session starts a program of this test binary, or another if path is given, in
// a session of its own that has the terminal.
func (term *terminal) session(name, path string, args ...string) *exec.Cmd {
	term.t.Helper()
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			term.t.Fatal(err)
		}
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), program+"="+name, "PS1=PROMPT ", "HISTFILE=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.slave, term.slave, term.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // Pdeathsig is about the thread
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		term.t.Fatal(err)
	}
	term.t.Cleanup(func() {
		_ = cmd.Process.Kill() // the kernel hangs up the whole session
		<-ended
	})
	return cmd
}

func (term *terminal) types(text string) {
	term.t.Helper()
	if _, err := term.master.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

// expect waits until the terminal shows a text after what was expected before.
func (term *terminal) expect(text string) {
	term.t.Helper()
	eventually(term.t, fmt.Sprintf("%q on the terminal", text), func() bool {
		term.mu.Lock()
		defer term.mu.Unlock()
		i := strings.Index(term.shown.String()[term.seen:], text)
		if i >= 0 {
			term.seen += i + len(text)
		}
		return i >= 0
	})
}

func (term *terminal) modes() unix.Termios {
	term.t.Helper()
	modes, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return *modes
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

func init() {
	// Runs a program, says its status, and reads a line: from the background, that
	// would stop it.
	programs["run-and-read"] = func(args []string) int {
		status := runProgram(args, 0)
		fmt.Println("status", status)
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Printf("then read %q %v\n", line, err)
		return status
	}
}

func TestProgramHasTheTerminal(t *testing.T) {
	term := newTerminal(t)
	term.session("run-and-read", "", "sh", "-c", `test -t 0 && read line && echo "got <$line>" && exit 8`)
	term.types("hello\n")
	term.expect("got <hello>")
	term.expect("status 8")
	term.types("more\n")
	term.expect(`then read "more\n" <nil>`)
}

func TestInterruptReachesTheProgramAlone(t *testing.T) {
	term := newTerminal(t)
	term.session("run-and-read", "", "sh", "-c", `trap 'echo interrupted; exit 5' INT; echo up; while :; do sleep 0.01; done`)
	term.expect("up")
	term.types(ctrlC)
	term.expect("interrupted")
	term.expect("status 5")
	term.types("more\n")
	term.expect(`then read "more\n" <nil>`)
}

// Where nobody could tell a stopped program to go on, Ctrl-Z must not be the end.
func TestCtrlZWithoutAShellAboveGoesOn(t *testing.T) {
	term := newTerminal(t)
	term.session("run-and-read", "", "sh", "-c", `echo up; while read line; do echo "got <$line>"; done`)
	term.expect("up")
	for i := range 5 {
		term.types(ctrlZ)
		term.types(fmt.Sprintf("line %d\n", i))
		term.expect(fmt.Sprintf("got <line %d>", i))
	}
	term.types("\x04")
	term.expect("status 0")
}

func TestJobControlOfTheShellAbove(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash (Debian package bash)")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	term := newTerminal(t)
	term.session("", bash, "--norc", "--noprofile", "--noediting", "-i")
	term.expect("PROMPT ")
	term.types(program + "=run " + exe + ` sh -c 'echo u""p; while read line; do echo "got <$line>"; done; exit 3'` + "\n")
	term.expect("up")
	for i := range 3 {
		term.types(ctrlZ)
		term.expect("Stopped")
		term.expect("PROMPT ")
		term.types("echo the she\"\"ll\n")
		term.expect("the shell")
		if i == 1 { // in the background it may not read, and stops again
			term.types("bg\n")
			term.types(`until [ -n "$(jobs -s)" ]; do sleep 0.01; done; echo st""ill` + "\n")
			term.expect("still")
		}
		term.types("fg\n")
		term.types(fmt.Sprintf("line %d\n", i))
		term.expect(fmt.Sprintf("got <line %d>", i))
	}
	term.types("\x04")
	term.expect("PROMPT ")
	term.types("echo status is $?\n")
	term.expect("status is 3")
}

// A program that is killed can't set the modes back: without us, the person
// would type blindly.
func TestModesAreRestoredAfterAKill(t *testing.T) {
	term := newTerminal(t)
	before := term.modes()
	term.session("run-and-read", "", "sh", "-c", `stty raw -echo; kill -KILL $$`)
	term.expect("status 137")
	if after := term.modes(); after != before {
		t.Errorf("modes were %+v, are %+v", before, after)
	}
}

// In the background nobody may take the terminal.
func TestRunWithoutTheForegroundLeavesTheTerminal(t *testing.T) {
	term := newTerminal(t)
	status, err := launch.Run(t.Context(), launch.Spec{Path: "true", Stdin: term.slave})
	if status != 0 || err != nil {
		t.Error(status, err) // it is not our controlling terminal
	}
}
