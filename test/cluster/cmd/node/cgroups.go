package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cgroups are directories, one in each hierarchy, below which the kubelet makes
// those of its pods.
type cgroups []string

// makeCgroups makes a cgroup of that name below the root of each hierarchy.
func makeCgroups(name string) (cgroups, error) {
	mounts, err := hierarchies("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("looking for cgroups: %w", err)
	}
	var made cgroups
	for _, mount := range mounts {
		dir := filepath.Join(mount, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("making a cgroup: %w", err), made.remove())
		}
		made = append(made, dir)
	}
	return made, nil
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

// remove removes them and all below. Their processes are gone, but the kernel
// may need a moment to notice.
func (c cgroups) remove() error {
	var err error
	for _, dir := range c {
		err = errors.Join(err, removeCgroup(dir))
	}
	return err
}

func removeCgroup(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("removing a cgroup: %w", err)
	}
	for _, dir := range slices.Backward(dirs) {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			err := syscall.Rmdir(dir)
			if err == nil {
				break
			}
			if err != syscall.EBUSY || time.Now().After(deadline) {
				return fmt.Errorf("removing cgroup %s: %w", dir, err)
			}
		}
	}
	return nil
}
