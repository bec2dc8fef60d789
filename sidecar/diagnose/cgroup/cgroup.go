// Package cgroup tells from /proc/PID/cgroup which container a process is in, as
// seen from a container of the same pod.
//
// The kernel writes each path as seen from the reader's namespace of control
// groups. In a namespace of its own (version 2's default) a container is "/", and
// the one beside it "/../NAME"; without one (version 1's default) both are below
// the pod's, "/kubepods/.../NAME". Either way NAME is the first part in which the
// other path differs from our own, and it has the container's id. Parts after
// that are the other container's to name, so they prove nothing.
package cgroup

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MaxText is how much of a file is read: a path has at most 4096 bytes.
const MaxText = 64 << 10

// Membership is the control groups that a process is in, by hierarchy: its
// controllers, empty in version 2.
type Membership map[string]string

// Parse reads /proc/PID/cgroup. Lines that are none are left out.
func Parse(text string) Membership {
	m := Membership{}
	for line := range strings.Lines(text[:min(len(text), MaxText)]) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		hierarchy, path, ok := strings.Cut(rest, ":")
		if !ok || !strings.HasPrefix(path, "/") {
			continue
		}
		m[hierarchy] = strings.TrimSuffix(path, " (deleted)") // the group was removed under a zombie
	}
	return m
}

// Same says whether both are known and the same in every hierarchy.
func (m Membership) Same(other Membership) bool {
	if len(m) == 0 || len(m) != len(other) {
		return false
	}
	for hierarchy, path := range m {
		if there, ok := other[hierarchy]; !ok || there != path {
			return false
		}
	}
	return true
}

// Within says whether a process is in own, or in a group below it, in every
// hierarchy.
func (m Membership) Within(own Membership) bool {
	if len(m) == 0 || len(m) != len(own) {
		return false
	}
	for hierarchy, path := range m {
		there, ok := own[hierarchy]
		if _, beside := split(path, there); !ok || beside {
			return false
		}
	}
	return true
}

// Container returns the id of the container beside own that a process is in. It
// is empty where the paths have none, where they contradict each other, and for
// processes in own itself.
func (m Membership) Container(own Membership) (id string) {
	for hierarchy, path := range m {
		there, ok := own[hierarchy]
		if !ok {
			continue
		}
		name, beside := split(path, there)
		if !beside {
			continue
		}
		one := idIn(name)
		switch {
		case one == "":
		case id == "":
			id = one
		case id != one:
			return ""
		}
	}
	return id
}

// split returns the first part of a path that differs from own, and whether there
// is one that is not below own.
func split(path, own string) (name string, beside bool) {
	parts, ours := parts(path), parts(own)
	i := 0
	for i < len(parts) && i < len(ours) && parts[i] == ours[i] && parts[i] != ".." {
		i++
	}
	rest := parts[i:]
	if len(rest) == 0 {
		return "", i < len(ours) // above us, or ours
	}
	if i == len(ours) && rest[0] != ".." {
		return "", false
	}
	if up := slices.IndexFunc(rest, func(part string) bool { return part != ".." }); up > 0 {
		return rest[up], true
	} else if up < 0 {
		return "", true // an ancestor of our namespace's root
	}
	return rest[0], true
}

func parts(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(part string) bool { return part == "" })
}

// name is how the runtimes name a container's group: ID (containerd with
// cgroupfs), cri-containerd-ID.scope, crio-ID, crio-ID.scope, docker-ID.scope, and
// SLICE:cri-containerd:ID where the kubelet uses systemd and containerd does not.
// crio-conmon-ID is CRI-O's monitor, which is not in the container.
var name = regexp.MustCompile(`^(?:(?:cri-containerd|crio|docker|libpod)-|[A-Za-z0-9_.\\-]+:[a-z-]+:)?([0-9a-f]{64})(?:\.scope)?$`)

func idIn(part string) string {
	if m := name.FindStringSubmatch(part); m != nil {
		return m[1]
	}
	return ""
}

var full = regexp.MustCompile(`^(?:containerd|cri-o|docker)://([0-9a-f]{64})$`)

// ID returns the id in a container's name as a pod's status has it:
// containerd://64 hexadecimal digits, also cri-o:// and docker://.
func ID(status string) (id string, err error) {
	m := full.FindStringSubmatch(status)
	if m == nil {
		return "", fmt.Errorf("%.100q is no container's id: that is containerd://, cri-o:// or docker:// and 64 hexadecimal digits", status)
	}
	return m[1], nil
}
