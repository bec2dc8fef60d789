package diagnose

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/session"
	"github.com/debugsidecar/debugsidecar/sidecar/guard"
	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

const (
	// commandGrace is less than the 30 s after which Kubernetes kills everything.
	commandGrace = 25 * time.Second
	// shellGrace is short: an interactive shell ignores TERM.
	shellGrace = 2 * time.Second
	// overGrace is what programs below a shell have to end when the time is over.
	overGrace = 10 * time.Second
	// restGrace is for what is left in the container after the shell.
	restGrace = time.Second
	// timeIsOver is the status of a session that its time has ended, timeout(1)'s.
	timeIsOver = exitStatus(124)
)

// DebugCommand returns debug.
func DebugCommand() *cobra.Command {
	d := debugging{grace: commandGrace}
	noGreeting := false
	c := &cobra.Command{
		Use:   "debug [-- CMD...]",
		Short: "Entry point of the debug container: run a command, a shell, or wait",
		Long: `Run a command with this terminal, pass signals on to it, reap what it leaves, and
end with its status. Without a command: a shell, if there is one and somebody
could type (standard input is not empty); else wait until the pod ends, for
kubectl exec.

The shell's environment has TARGET_PID, the target container's first process, and
TARGET_ROOT, its root directory, where they can be told.

A session with an end (DEBUGSIDECAR_SESSION_UNTIL, or DEBUGSIDECAR_SESSION_TTL
from now on) is warned of 5 minutes and 1 minute before; then all processes of
this container get TERM, and KILL. Status 124: the time was over; else the
command's or shell's. The container's termination message says why it ended.`,
		RunE: func(c *cobra.Command, args []string) error {
			d.err = c.ErrOrStderr()
			if c.Flags().Changed("grace") {
				d.overGrace = d.grace
			}
			return d.run(args, !noGreeting)
		},
	}
	c.Flags().DurationVar(&d.grace, "grace", commandGrace, "time between TERM and KILL for the command")
	c.Flags().BoolVar(&noGreeting, "no-greeting", false, "do not say what can be seen from here")
	c.Flags().SetInterspersed(false) // the command's flags are its own
	return c
}

// debugging is one run of debug.
type debugging struct {
	grace, overGrace time.Duration
	err              io.Writer

	self    *session.Self
	outputs *outputs
	time    session.Time
	signals chan os.Signal
	over    chan struct{} // closed when the session's time is over
	ended   chan struct{} // closed when then all processes are
}

func (d *debugging) run(args []string, greeting bool) error {
	self, err := session.Look()
	if err != nil {
		fmt.Fprintln(d.err, "sidecar: the session's end will leave what kubectl exec has started:", err)
	}
	d.self, d.time = self, session.Read(os.Getenv, time.Now())
	if d.outputs, err = outputsOf(self); err != nil {
		fmt.Fprintln(d.err, "sidecar:", err)
	}
	if d.outputs.stderr != os.Stderr {
		d.err = d.outputs.stderr // all that is said is counted
	}
	if at, ends := d.time.Ends(); ends && !at.After(time.Now()) {
		fmt.Fprintf(d.err, "sidecar: this session ended at %s; for more, start a new one\n", at.Format(time.RFC3339))
		d.lastWords("the session's time was over before it began" + d.wrote())
		return timeIsOver
	}
	d.signals, d.over, d.ended = make(chan os.Signal, 16), make(chan struct{}), make(chan struct{})
	signal.Notify(d.signals, unix.SIGTERM, unix.SIGHUP, unix.SIGINT)
	defer signal.Stop(d.signals)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	awaitSight(os.Stdin, sightWithin)
	what, interactive := "the command "+filepath.Base(strings.Join(args[:min(1, len(args))], "")), len(args) == 0
	view, _ := inTime(greetWithin, LookAtTarget)
	if interactive && greeting {
		greet(d.err, view, d.time)
	}
	if interactive {
		shell := findShell()
		if shell == "" || isNull(os.Stdin) {
			go d.keep(ctx, "waiting")
			return d.finish("waiting", d.wait(shell))
		}
		args, what = []string{shell}, "the shell"
		d.grace = shellGrace
	}
	go d.keep(ctx, what)
	status, err := launch.Run(context.Background(), launch.Spec{
		Path: args[0], Args: args[1:], Env: environment(os.Environ(), view), Grace: d.grace,
		Stdin: os.Stdin, Stdout: d.outputs.stdout, Stderr: d.outputs.stderr,
	})
	if err != nil {
		fmt.Fprintln(d.err, "sidecar:", err)
	}
	return d.finish(what, status)
}

// environment is ours with the target in it.
func environment(env []string, v *View) []string {
	var all []string
	for _, one := range env {
		if name, _, _ := strings.Cut(one, "="); name != "TARGET_PID" && name != "TARGET_ROOT" {
			all = append(all, one)
		}
	}
	if v == nil || v.Target == nil {
		return all
	}
	all = append(all, fmt.Sprintf("TARGET_PID=%d", v.Target.PID))
	if path := v.RootPath(); path != "" {
		all = append(all, "TARGET_ROOT="+path)
	}
	return all
}

// tell tells the session's terminals; without one it is standard error.
func (d *debugging) tell(text string) { d.self.Tell(d.outputs.stderr, text) }

// keep ends the session when its time is over.
func (d *debugging) keep(ctx context.Context, what string) {
	if !d.time.Wait(ctx, d.tell) {
		return
	}
	defer close(d.ended)
	close(d.over)
	d.tell("the session's time is over: it ends now")
	grace := d.overGrace
	if grace == 0 {
		grace = overGrace
	}
	d.self.End(grace)
	// What hangs in the kernel takes no KILL, and may be what is waited for.
	const patience = 2 * time.Second
	time.AfterFunc(patience, func() {
		d.lastWords(d.words(what, int(timeIsOver)))
		os.Exit(int(timeIsOver))
	})
}

// finish ends what is left in the container, and says why all this ended.
func (d *debugging) finish(what string, status int) error {
	words := d.words(what, status)
	select {
	case <-d.over:
		<-d.ended
		d.lastWords(words + d.wrote())
		return timeIsOver
	default:
	}
	if got := d.signal(); got != 0 {
		words = fmt.Sprintf("the session got the signal %s; %s", unix.SignalName(got), words)
		if got == unix.SIGHUP {
			words = "the session's terminal was closed; " + d.words(what, status)
		}
		if what == "the shell" {
			status = 128 + int(got) // not that it was killed, since it takes no TERM
		}
	}
	if d.self.First() {
		d.self.End(restGrace)
	}
	d.lastWords(words + d.wrote())
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

func (d *debugging) words(what string, status int) string {
	select {
	case <-d.over:
		at, _ := d.time.Ends()
		return "the session's time was over at " + at.Format(time.RFC3339)
	default:
		if what == "waiting" {
			return "the session ended"
		}
		return fmt.Sprintf("%s ended with status %d", printable(what), status)
	}
}

// wrote is the last part of the last words: how long the container's log is. The
// plugin reads until it has that much (kubectl-debugsidecar/debug/log.go).
func (d *debugging) wrote() string {
	n, ok := d.outputs.end()
	if !ok {
		return ""
	}
	return fmt.Sprintf("; %d bytes of output", n)
}

// signal returns the first signal that would have ended us, 0 if none came.
func (d *debugging) signal() syscall.Signal {
	select {
	case s := <-d.signals:
		number, _ := s.(syscall.Signal)
		return number
	default:
		return 0
	}
}

// lastWords are the container's, not those of what exec started.
func (d *debugging) lastWords(text string) {
	if d.self.First() {
		_ = session.LastWords(text) // there may be no such file
	}
}

// findShell returns the best shell there is, empty if there is none.
func findShell() string {
	for _, name := range []string{"bash", "sh"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// isNull says whether a file is /dev/null, as standard input of a container
// whose pod does not ask for it: a shell would end at once.
func isNull(f *os.File) bool {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return true // closed
	}
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)
}

// wait keeps the container alive for people who come by kubectl exec, and reaps
// what they leave.
func (d *debugging) wait(shell string) (status int) {
	g := guard.New(guard.Options{})
	g.Register()
	stop := launch.ReapOrphans()
	defer stop()
	if shell == "" {
		fmt.Fprintln(d.err, "there is no shell here; waiting")
	} else {
		fmt.Fprintln(d.err, "waiting; come in by: kubectl exec -it POD -c CONTAINER -- sidecar debug")
	}
	select {
	case <-g.Context().Done():
	case <-d.over:
	}
	if err := g.Stop(""); err != nil {
		return 1
	}
	return 0
}
