// Package proc lists processes from a procfs. What is read may be written by a
// hostile process: names are bytes, sizes are bounded, and a process that ends in
// the middle is left out.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/cgroup"
)

// Process is one as it was when it was read.
type Process struct {
	PID    int `json:"pid"`
	Parent int `json:"parent"`
	// Start is when it started, in clock ticks since the node did. With the PID it
	// tells a process from a later one with the same number.
	Start  uint64
	State  byte // as ps has it: R, S, Z
	Kernel bool `json:"-"` // it is a thread of the kernel's own
	// Name is up to 15 bytes of the process's own choice.
	Name   string            `json:"name"`
	Groups cgroup.Membership `json:"-"`
}

// Dead says whether it has ended and only waits to be reaped.
func (p Process) Dead() bool { return p.State == 'Z' || p.State == 'X' }

// Most is how many processes a list has at most.
const Most = 32768

// List returns the processes below a procfs, by PID.
func List(root string) ([]Process, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var all []Process
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			pid, err := strconv.Atoi(name)
			if err != nil {
				continue
			}
			if p, err := Read(root, pid); err == nil {
				all = append(all, p)
			}
		}
		if errors.Is(err, io.EOF) || len(all) >= Most {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b Process) int { return a.PID - b.PID })
	return all, nil
}

// Read reads one process.
func Read(root string, pid int) (Process, error) {
	p := Process{PID: pid}
	dir := filepath.Join(root, strconv.Itoa(pid))
	text, err := head(filepath.Join(dir, "stat"), 4096)
	if err != nil {
		return p, err
	}
	if err := p.parse(text); err != nil {
		return p, fmt.Errorf("%s/stat: %w", dir, err)
	}
	groups, err := head(filepath.Join(dir, "cgroup"), cgroup.MaxText)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without control groups
		return p, err
	}
	p.Groups = cgroup.Parse(string(groups))
	return p, nil
}

// parse reads /proc/PID/stat. The name in it may have parentheses and spaces.
func (p *Process) parse(text []byte) (err error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return errors.New("there is no name in it")
	}
	p.Name = string(text[open+1 : end])
	const parent, flags, start = 1, 6, 19 // of what follows the name
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) <= start || len(fields[0]) != 1 {
		return errors.New("it is too short")
	}
	p.State = fields[0][0]
	if p.Parent, err = strconv.Atoi(fields[parent]); err != nil {
		return err
	}
	set, err := strconv.ParseUint(fields[flags], 10, 64)
	if err != nil {
		return err
	}
	const kernelThread = 0x00200000 // PF_KTHREAD
	p.Kernel = set&kernelThread != 0
	p.Start, err = strconv.ParseUint(fields[start], 10, 64)
	return err
}

// MountNamespace returns the number of a process's. It takes the process's own
// user and capabilities, or CAP_SYS_PTRACE.
func MountNamespace(root string, pid int) (string, error) {
	return os.Readlink(filepath.Join(root, strconv.Itoa(pid), "ns/mnt"))
}

// CommandLine returns up to most bytes of a process's arguments, and whether
// there were more. They are often secret.
func CommandLine(root string, pid, most int) (arguments []string, cut bool, err error) {
	text, err := head(filepath.Join(root, strconv.Itoa(pid), "cmdline"), most+1)
	if err != nil || len(text) == 0 {
		return nil, false, err
	}
	if cut = len(text) > most; cut {
		text = text[:most]
	}
	return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00"), cut, nil
}

// head returns the beginning of a file.
func head(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)))
}

// Descendants returns the processes below one, without it.
func Descendants(all []Process, of int) []Process {
	children := map[int][]Process{}
	for _, p := range all {
		children[p.Parent] = append(children[p.Parent], p)
	}
	seen := map[int]bool{of: true} // a list that was read while processes changed may have a circle
	var below []Process
	for queue := []int{of}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			if !seen[child.PID] {
				seen[child.PID] = true
				below = append(below, child)
				queue = append(queue, child.PID)
			}
		}
	}
	return below
}
