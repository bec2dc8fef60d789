package launch

import (
	"os"
	"time"
)

// Spec says what is run.
type Spec struct {
	// Path is the program; without a slash it is looked for in our own PATH.
	Path string
	// Args are the arguments, without the program's name.
	Args []string
	// Env is the whole environment, as "NAME=value"; nothing is inherited.
	Env []string
	// Dir is the working directory. Default: ours.
	Dir string
	// Stdin, Stdout and Stderr are /dev/null where nil. The caller may close its
	// own copies of all files once the child is started.
	Stdin, Stdout, Stderr *os.File
	// ExtraFiles are the child's file descriptors from 3 on.
	ExtraFiles []*os.File
	// Unprivileged leaves the child without any capability and unable to win one
	// (no_new_privs), also where it stays root by name. The program must be
	// readable without CAP_DAC_OVERRIDE. Where the kernel has Landlock, the child
	// can't look into our memory or environment either: Child.Exposed says if not.
	Unprivileged bool
	// Hide are files and directories that an unprivileged child can't open, nor
	// what is below them, where the kernel has Landlock. What is made later in the
	// directories above them is hidden, too.
	Hide []string
	// Grace is the time between TERM and KILL: of Run, when its context ends or a
	// TERM was passed on. Run without it never kills because of a signal.
	Grace time.Duration
}
