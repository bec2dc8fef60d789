// Package cgroups makes and removes the cgroups below which a node's pods have
// theirs. They outlive processes, so they have to be removed by somebody.
package cgroups

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const prefix = "debugsidecar-"

// NewName returns the name of a cgroup that ends with the calling process. It
// names the process, so that Sweep finds what nobody could remove.
func NewName() (string, error) {
	space, err := pidNamespace()
	return nameOf(space, os.Getpid()), err
}

func nameOf(space string, pid int) string {
	return fmt.Sprintf("%s%s-%d-%08x", prefix, space, pid, rand.Uint32())
}

// pidNamespace returns the number of the PID namespace, without which that of a
// process says nothing.
func pidNamespace() (string, error) {
	name, err := os.Readlink("/proc/self/ns/pid")
	return strings.TrimSuffix(strings.TrimPrefix(name, "pid:["), "]"), err
}

// Make makes the cgroup of that name below the root of each hierarchy.
func Make(name string) error {
	mounts, err := hierarchies("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("looking for cgroups: %w", err)
	}
	for _, mount := range mounts {
		if err := hands(mount); err != nil {
			return errors.Join(err, Remove(name))
		}
		if err := os.Mkdir(filepath.Join(mount, name), 0o755); err != nil {
			return errors.Join(fmt.Errorf("making a cgroup: %w", err), Remove(name))
		}
	}
	return nil
}

// ErrUnsupported says that this machine's cgroups are not fit for a node.
var ErrUnsupported = errors.New("cgroups are not fit for a node")

// hands returns an error where a hierarchy has a controller that the kubelet
// wants and the root does not hand on to its groups. That is a setting of the
// whole machine, so it is not changed here. Version 1 has no such setting, and
// where it has the memory, the kubelet uses it for all.
func hands(mount string) error {
	there, err := os.ReadFile(filepath.Join(mount, "cgroup.controllers"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	control := filepath.Join(mount, "cgroup.subtree_control")
	on, err := os.ReadFile(control)
	if err != nil {
		return err
	}
	all, handed := strings.Fields(string(there)), strings.Fields(string(on))
	if !slices.Contains(all, "memory") {
		return nil
	}
	for _, controller := range all {
		if slices.Contains(wanted, controller) && !slices.Contains(handed, controller) {
			return fmt.Errorf("%w: %s lacks %s; allow it: echo +%[3]s >%[2]s", ErrUnsupported, control, controller)
		}
	}
	return nil
}

// wanted are the controllers that the kubelet looks for in its cgroupRoot with
// version 2 (pkg/kubelet/cm/cgroup_v2_manager_linux.go).
var wanted = []string{"cpu", "cpuset", "hugetlb", "memory", "pids"}

// Unified tells whether this machine has version 2 alone.
func Unified() bool {
	mounts, err := hierarchies("/proc/self/mountinfo")
	if err != nil || len(mounts) != 1 {
		return false
	}
	_, err = os.Stat(filepath.Join(mounts[0], "cgroup.controllers"))
	return err == nil
}

// Remove removes what Make made and all below, if it is there. Processes in it
// have to be gone, or killed: the kernel may need a moment.
func Remove(name string) error {
	mounts, err := hierarchies("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("looking for cgroups: %w", err)
	}
	for _, mount := range mounts {
		err = errors.Join(err, remove(filepath.Join(mount, name)))
	}
	return err
}

// Sweep removes the cgroups of processes that are gone.
func Sweep() error {
	space, err := pidNamespace()
	if err != nil {
		return err
	}
	mounts, err := hierarchies("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		found, err := filepath.Glob(filepath.Join(mount, prefix+space+"-*-*"))
		if err != nil {
			return err
		}
		for _, dir := range found {
			var pid int
			if _, err := fmt.Sscanf(filepath.Base(dir), prefix+space+"-%d-", &pid); err != nil {
				continue // somebody else's
			}
			if syscall.Kill(pid, 0) == syscall.ESRCH {
				if err := remove(dir); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// hierarchies returns where cgroup hierarchies are mounted, each once.
func hierarchies(mountinfo string) ([]string, error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var dirs []string
	seen := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// ID PARENT MAJOR:MINOR ROOT DIRECTORY OPTIONS... - TYPE SOURCE OPTIONS
		before, after, found := strings.Cut(lines.Text(), " - ")
		field := strings.Fields(before)
		if !found || len(field) < 5 || !strings.HasPrefix(after, "cgroup ") && !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		if device := field[2]; !seen[device] {
			seen[device] = true
			dirs = append(dirs, field[4])
		}
	}
	if len(dirs) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted")
	}
	return dirs, nil
}

// remove removes a cgroup and all below.
func remove(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // also if another process sweeps
			return nil
		}
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("removing a cgroup: %w", err)
	}
	for _, dir := range slices.Backward(dirs) {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			err := syscall.Rmdir(dir)
			if err == nil || err == syscall.ENOENT {
				break
			}
			if err != syscall.EBUSY || time.Now().After(deadline) {
				return fmt.Errorf("removing cgroup %s: %w", dir, err)
			}
		}
	}
	return nil
}
