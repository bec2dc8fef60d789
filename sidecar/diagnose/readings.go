package diagnose

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// groups are where this process's control groups are mounted.
type groups struct {
	version     string
	cpu, memory string // directories; empty: none
}

// controlGroups finds them. In a container with a namespace of control groups
// the path in /proc/self/cgroup is /; with version 1 the container's group is
// mounted as the whole hierarchy.
func controlGroups(mount, self string) groups {
	text, _ := os.ReadFile(self) // without it the mounts' roots are left
	paths := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			for controller := range strings.SplitSeq(parts[1], ",") {
				paths[controller] = parts[2]
			}
		}
	}
	first := func(dirs ...string) string {
		for _, dir := range dirs {
			if _, err := os.Stat(dir); err == nil {
				return dir
			}
		}
		return ""
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(mount, &fs); err != nil {
		return groups{version: "none is mounted at " + mount}
	}
	if fs.Type == unix.CGROUP2_SUPER_MAGIC {
		dir := first(filepath.Join(mount, paths[""]), mount)
		return groups{"version 2", dir, dir}
	}
	return groups{
		"version 1",
		first(filepath.Join(mount, "cpu", paths["cpu"]), filepath.Join(mount, "cpu")),
		first(filepath.Join(mount, "memory", paths["memory"]), filepath.Join(mount, "memory")),
	}
}

// readingFindings tell which of the machine's own readings can be had.
func readingFindings() []Finding {
	const group = "readings"
	g := controlGroups("/sys/fs/cgroup", "/proc/self/cgroup")
	findings := []Finding{{Group: group, Name: "control groups", State: Info, Found: g.version}}
	const version2 = "control groups of version 2, with PSI in the kernel"
	for _, r := range []struct{ name, path, costs, takes string }{
		{"UDP's sockets", "/proc/thread-self/net/udp", "the sockets' queues: the user tier foresees nothing", "a procfs at /proc"},
		{"TCP's sockets", "/proc/thread-self/net/tcp", "the queues of RTSP over TCP", "a procfs at /proc"},
		{"cpu.stat", within(g.cpu, "cpu.stat"), "whether our own processor time was cut", "control groups at /sys/fs/cgroup"},
		{"memory.events", within(g.memory, "memory.events"), "how often our memory limit was hit", version2},
		{"cpu.pressure", within(g.cpu, "cpu.pressure"), "whether we wait for processors", version2},
		{"memory.pressure", within(g.memory, "memory.pressure"), "whether we wait for memory", version2},
		{"node's pressure", "/proc/pressure/cpu", "whether the node is short: trouble of the node stays unclear", "a kernel with PSI (psi=1)"},
	} {
		f := Finding{Group: group, Name: r.name, State: OK, Found: "readable"}
		if err := readable(r.path); err != nil {
			f.State, f.Found, f.Costs, f.Takes = Limited, err.Error(), r.costs, r.takes
		}
		findings = append(findings, f)
	}
	return append(findings, memoryLimit(g))
}

func within(dir, name string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// readable reads, since PSI's files open where they can't be read.
func readable(path string) error {
	if path == "" {
		return errors.New("there is no control group")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Read(make([]byte, 64))
	return err
}

// enough is what the probe takes with many flows, and its capture child beside
// it.
const enough = 256 << 20

func memoryLimit(g groups) Finding {
	f := Finding{Group: "readings", Name: "memory limit", State: OK, Found: "none"}
	if g.memory == "" {
		f.State, f.Found = Info, "not told"
		return f
	}
	limit, ok := readLimit(filepath.Join(g.memory, "memory.max"))
	if !ok {
		limit, ok = readLimit(filepath.Join(g.memory, "memory.limit_in_bytes"))
	}
	if !ok {
		return f
	}
	f.Found = fmt.Sprintf("%d MiB", limit>>20)
	if limit < enough {
		f.State = Limited
		f.Costs = "the picture, when the capture child does not fit; with less than 64 MiB the probe itself"
		f.Takes = fmt.Sprintf("resources.limits.memory of %dMi", enough>>20)
	}
	return f
}

// readLimit returns a limit in bytes. Version 1 writes a number near the whole
// address space for none.
func readLimit(path string) (bytes uint64, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	bytes, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return bytes, err == nil && bytes < 1<<60
}
