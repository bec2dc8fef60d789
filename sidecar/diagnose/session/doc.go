// Package session ends a debug container when its session's time is over: until
// when, the warnings before, the end of all its processes, and the word that it
// leaves in the pod's status.
//
// # Whom it may signal
//
// In a pod, other containers' processes may be in our PID namespace: the target's,
// where the session was added with targetContainerName, or all of the pod's.
// They are never signalled. Ours are: what is below us in the tree of processes,
// wherever it went; and, if we are the container's first process, what is in our
// control group and our mount namespace both, as kubectl exec starts it. Who can't
// be looked into is not ours.
//
// # What it is not
//
// It is no jail: who is in the session has our user, and may stop or kill us. The
// container ends then, too.
package session
