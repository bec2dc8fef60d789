package session

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/cgroup"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/proc"
)

const procfs = "/proc"

// Self is this process in its container.
type Self struct {
	pid    int
	groups cgroup.Membership
	mounts string
	// first: we are the container's entry point, not what exec has started.
	first bool
}

// Look finds out what we are.
func Look() (*Self, error) {
	s := &Self{pid: os.Getpid()}
	all, err := proc.List(procfs)
	if err != nil {
		return s, fmt.Errorf("listing the processes: %w", err)
	}
	i := slices.IndexFunc(all, func(p proc.Process) bool { return p.PID == s.pid })
	if i < 0 {
		return s, errors.New("we are not in /proc ourselves: is it another PID namespace's?")
	}
	own := all[i]
	s.groups = own.Groups
	if s.mounts, err = proc.MountNamespace(procfs, s.pid); err != nil {
		return s, fmt.Errorf("our mount namespace: %w", err)
	}
	// A runtime starts a container's processes from outside, so that their parent
	// is none here. A shell on some machine is another matter: all of the machine
	// would be ours.
	s.first = own.Parent == 0
	for _, p := range all {
		if s.first && p.PID != s.pid && p.Parent == 0 && !p.Dead() && s.beside(p) &&
			(p.Start < own.Start || p.Start == own.Start && p.PID < own.PID) {
			s.first = false
		}
	}
	return s, nil
}

// First says whether we are the container's first process.
func (s *Self) First() bool { return s.first }

// beside says whether a process is in our container. Either sign alone may be
// shared with others: control groups are all "/" in some sandboxes, and a
// process may enter another one's mounts.
func (s *Self) beside(p proc.Process) bool {
	if !p.Groups.Within(s.groups) {
		return false
	}
	theirs, err := proc.MountNamespace(procfs, p.PID)
	return err == nil && theirs == s.mounts
}

// ours returns the living processes that are ours to end, without ourselves.
func (s *Self) ours() ([]proc.Process, error) {
	all, err := proc.List(procfs)
	if err != nil {
		return nil, err
	}
	kept := map[int]proc.Process{}
	roots := []int{s.pid}
	if s.first {
		for _, p := range all {
			if p.PID != s.pid && s.beside(p) {
				kept[p.PID] = p
				roots = append(roots, p.PID)
			}
		}
	}
	for _, root := range roots {
		for _, p := range proc.Descendants(all, root) {
			kept[p.PID] = p
		}
	}
	delete(kept, s.pid)
	var living []proc.Process
	for _, p := range kept {
		if !p.Dead() {
			living = append(living, p)
		}
	}
	slices.SortFunc(living, func(a, b proc.Process) int { return a.PID - b.PID })
	return living, nil
}

// send signals the very process that was listed, not one that got its number
// since.
func send(p proc.Process, s unix.Signal) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return // it ended
	}
	defer unix.Close(fd)
	now, err := proc.Read(procfs, p.PID)
	if err != nil || now.Start != p.Start {
		return
	}
	_ = unix.PidfdSendSignal(fd, s, nil, 0) // of another user, as after su: the runtime ends it with the container
}
