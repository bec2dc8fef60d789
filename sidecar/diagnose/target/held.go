package target

import (
	"fmt"
	"strings"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/proc"
)

// ByCommand is in the copy of a pod, whose target had no id yet when the copy was
// written: it runs the command that keeps it alive.
const ByCommand Confidence = "command"

// Held finds the target of a pod's copy by the command that keeps it alive.
// Arguments may be anyone's: of several such processes none is named, unless one
// is the parent of all others.
func Held(root, command string, self int) (*Target, error) {
	all, err := proc.List(root)
	if err != nil {
		return nil, fmt.Errorf("listing the processes: %w", err)
	}
	ours := map[int]bool{self: true}
	for _, p := range proc.Descendants(all, self) {
		ours[p.PID] = true
	}
	held := map[int]proc.Process{}
	for _, p := range all {
		if ours[p.PID] || p.Dead() || p.Kernel {
			continue
		}
		arguments, cut, err := proc.CommandLine(root, p.PID, len(command)+1)
		if err == nil && !cut && strings.Join(arguments, " ") == command {
			held[p.PID] = p
		}
	}
	var found []proc.Process
	for _, p := range held {
		if _, below := held[p.Parent]; !below {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no process here runs %q: the target has ended, or its processes are not shared with us", command)
	case 1:
		return &Target{Process: found[0], Confidence: ByCommand, Others: len(proc.Descendants(all, found[0].PID)),
			Why: "it runs the command that keeps a copy's container alive"}, nil
	}
	return nil, fmt.Errorf("%d processes run %q: the target can't be told from them", len(found), command)
}
