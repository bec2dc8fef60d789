// Package launch runs child processes: each in its own process group, which is
// signalled as a whole, and none outlives this process.
//
// Start is for a helper that may crash, hang or leak, as the capture worker: it
// gets only the files and the environment that are named, on request no
// capability, and can always be killed. Run is for a program that a person
// asked for, as the entry point of a container: it has the terminal, gets the
// signals that we get, and its exit status becomes ours.
//
// # What a child can reach
//
// An unprivileged child has no capability in any set and can win none. That is
// done on the thread that starts it, so that it takes no privilege, no helper
// program and no user of its own. Landlock keeps it from our memory, our
// environment, and the files that Spec.Hide names. It may still send us signals,
// since it has our user, and use the network.
//
// # Reaping
//
// A process whose parent died becomes a child of process 1 of its PID
// namespace, or of a nearer subreaper. Run takes that part and reaps. It looks
// (waitid with WNOWAIT) before it reaps, so that a child of Start or Run keeps
// its exit status for who waits for it; children that other code started by
// os/exec are left to that code as well.
//
// # Death of the parent
//
// The kernel kills a child when the thread that started it ends (PR_SET_PDEATHSIG
// is about threads, and Go ends threads as it likes). So each child has a
// goroutine that is locked to its thread, starts the child and stays until it
// ended. Of a whole group only the leader gets that signal; the end of a
// container ends the rest.
package launch
