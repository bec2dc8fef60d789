package diagnose

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/guard"
	"github.com/debugsidecar/debugsidecar/sidecar/launch"
)

const (
	// commandGrace is less than the 30 s after which Kubernetes kills everything.
	commandGrace = 25 * time.Second
	// shellGrace is short: an interactive shell ignores TERM.
	shellGrace = 2 * time.Second
)

// DebugCommand returns debug.
func DebugCommand() *cobra.Command {
	grace := commandGrace
	c := &cobra.Command{
		Use:   "debug [-- CMD...]",
		Short: "Entry point of the debug container: run a command, a shell, or wait",
		Long: `Run a command with this terminal, pass signals on to it, reap what it leaves, and
end with its status. Without a command: a shell, if there is one and somebody
could type (standard input is not empty); else wait until the pod ends, for
kubectl exec.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				greet(c.ErrOrStderr())
				shell := findShell()
				if shell == "" || isNull(os.Stdin) {
					return wait(c.ErrOrStderr(), shell)
				}
				args, grace = []string{shell}, shellGrace
			}
			return run(args, grace, c.ErrOrStderr())
		},
	}
	c.Flags().DurationVar(&grace, "grace", commandGrace, "time between TERM and KILL for the command")
	c.Flags().SetInterspersed(false) // the command's flags are its own
	return c
}

func run(args []string, grace time.Duration, w io.Writer) error {
	status, err := launch.Run(context.Background(), launch.Spec{
		Path: args[0], Args: args[1:], Env: os.Environ(), Grace: grace,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		fmt.Fprintln(w, "sidecar:", err)
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
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
func wait(w io.Writer, shell string) error {
	g := guard.New(guard.Options{})
	g.Register()
	stop := launch.ReapOrphans()
	defer stop()
	if shell == "" {
		fmt.Fprintln(w, "there is no shell here; waiting")
	} else {
		fmt.Fprintln(w, "waiting; come in by: kubectl exec -it POD -c CONTAINER -- sidecar debug")
	}
	<-g.Context().Done()
	return g.Stop("")
}
