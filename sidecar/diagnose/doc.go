// Package diagnose is the commands by which a person looks around in a pod:
// doctor (what this container may do), check-root (is /proc/PID/root a
// container's root) and debug (the entry point of the debug container).
package diagnose

import "fmt"

// exitStatus ends the program with a status; what there is to say was said.
type exitStatus int

// Error names the status.
func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// ExitStatus is what main exits with.
func (s exitStatus) ExitStatus() int { return int(s) }
