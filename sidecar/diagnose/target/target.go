// Package target finds the process that a debug session is about: the first one
// of the target container.
package target

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/cgroup"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/proc"
)

// Confidence says how a process was found.
type Confidence string

const (
	// ByID is sure: its control group has the container's id.
	ByID Confidence = "id"
	// Likely is by exclusion: the control groups can't be told apart from here, and
	// there is one other container's processes and no more.
	Likely Confidence = "likely"
)

// Target is a process of the target container.
type Target struct {
	proc.Process
	Confidence Confidence `json:"confidence"`
	// Why says in a sentence how it was found.
	Why string `json:"why"`
	// Others is how many more processes the container has.
	Others int `json:"others"`
}

// ErrNone is in the error where no container was named: a session in the copy of
// a pod, or one that is no debug container.
var ErrNone = errors.New("no target container was named")

// Find finds the container that a pod's status names by status, as in
// containerd://64 digits. root is a procfs, self is our own PID in it. The error
// says why it can't be told.
func Find(root, status string, self int) (*Target, error) {
	if status == "" {
		return nil, ErrNone
	}
	id, err := cgroup.ID(status)
	if err != nil {
		return nil, err
	}
	all, err := proc.List(root)
	if err != nil {
		return nil, fmt.Errorf("listing the processes: %w", err)
	}
	i := slices.IndexFunc(all, func(p proc.Process) bool { return p.PID == self })
	if i < 0 {
		return nil, fmt.Errorf("we are not in %s ourselves: is it another PID namespace's procfs?", root)
	}
	own := all[i].Groups
	known := map[string]bool{}
	var members []proc.Process
	for _, p := range all {
		there := p.Groups.Container(own)
		if there != "" {
			known[there] = true
		}
		if there == id && !p.Dead() {
			members = append(members, p)
		}
	}
	if first, ok := first(members); ok {
		return &Target{Process: first, Confidence: ByID, Others: len(members) - 1,
			Why: "its control group has the container's id"}, nil
	}
	if len(known) > 0 {
		return nil, fmt.Errorf("no process here is of the container %.12s: of %s they are. It has ended, or its processes are not shared with us",
			id, shortened(known))
	}
	return byExclusion(root, id, all, self)
}

// first returns a container's first process: started first, of those whose parent
// is outside. What kubectl exec starts, and orphans, have their parent outside,
// too, but came later.
func first(members []proc.Process) (proc.Process, bool) {
	inside := map[int]bool{}
	for _, p := range members {
		inside[p.PID] = true
	}
	candidates := slices.DeleteFunc(slices.Clone(members), func(p proc.Process) bool { return inside[p.Parent] && p.Parent != p.PID })
	if len(candidates) == 0 {
		return proc.Process{}, false
	}
	return slices.MinFunc(candidates, func(a, b proc.Process) int {
		if a.Start != b.Start {
			if a.Start < b.Start {
				return -1
			}
			return 1
		}
		return a.PID - b.PID
	}), true
}

// byExclusion is for where control groups tell nothing of containers, as in
// gVisor's sandbox.
func byExclusion(root, id string, all []proc.Process, self int) (*Target, error) {
	const hidden = "control groups tell nothing of containers here"
	ours := map[int]bool{self: true}
	for _, p := range proc.Descendants(all, self) {
		ours[p.PID] = true
	}
	mounts, err := proc.MountNamespace(root, self)
	if err != nil {
		return nil, fmt.Errorf("%s, nor do mounts: %w", hidden, err)
	}
	others := map[string][]proc.Process{} // by mount namespace
	for _, p := range all {
		if ours[p.PID] || p.Dead() || p.Kernel {
			continue
		}
		theirs, err := proc.MountNamespace(root, p.PID)
		switch {
		case err == nil && theirs == mounts:
			continue // it came into our container
		case errors.Is(err, os.ErrNotExist):
			continue // it ended
		case err != nil:
			return nil, fmt.Errorf("%s, and process %d may be anyone's: it takes its own user and at least its capabilities, or CAP_SYS_PTRACE, to tell", hidden, p.PID)
		}
		others[theirs] = append(others[theirs], p)
	}
	switch len(others) {
	case 0:
		return nil, fmt.Errorf("no process here is of the container %.12s, nor of any but ours: its processes are not shared with us", id)
	case 1:
		for _, members := range others {
			if first, ok := first(members); ok {
				return &Target{Process: first, Confidence: Likely, Others: len(members) - 1,
					Why: hidden + ", but there are no processes of others than this one container"}, nil
			}
		}
	}
	return nil, fmt.Errorf("%s, and there are processes of %d others: the target can't be told from them", hidden, len(others))
}

// shortened names containers as runtimes' tools do.
func shortened(ids map[string]bool) string {
	var short []string
	for id := range ids {
		short = append(short, id[:12])
	}
	slices.Sort(short)
	const most = 5
	if len(short) > most {
		short = append(short[:most], "others")
	}
	return strings.Join(short, ", ")
}
