package diagnose

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// greet says what can be seen from here.
func greet(w io.Writer) {
	var b strings.Builder
	b.WriteString("debugsidecar")
	if pod := os.Getenv("DEBUGSIDECAR_POD"); pod != "" {
		fmt.Fprintf(&b, " in pod %s", pod)
	}
	for _, f := range processFindings() {
		if f.Name == "capabilities" {
			fmt.Fprintf(&b, ": uid %d, capabilities: %s", os.Geteuid(), f.Found)
		}
	}
	b.WriteByte('\n')
	if ports := listening("/proc/thread-self/net"); ports != "" {
		fmt.Fprintf(&b, "the pod listens on %s\n", ports)
	}
	processes := foreignProcesses("/proc", os.Getpid())
	if len(processes) == 0 {
		b.WriteString("no other container's process is visible: that takes shareProcessNamespace: true in the pod,\n" +
			"or kubectl debug --target=CONTAINER\n")
	} else {
		fmt.Fprintf(&b, "processes of other containers, whose files are in /proc/PID/root (sidecar check-root PID):\n")
		const most = 10
		for i, p := range processes {
			if i == most {
				fmt.Fprintf(&b, "  and %d more\n", len(processes)-most)
				break
			}
			access := ""
			if !p.readable {
				access = "  (its files take its own user, or CAP_SYS_PTRACE)"
			}
			fmt.Fprintf(&b, "  %7d %s%s\n", p.pid, p.name, access)
		}
	}
	if tools := present("tcpdump", "strace", "curl", "jq", "dig", "ss", "ip", "gdb", "bpftrace", "ffprobe"); tools != "" {
		fmt.Fprintf(&b, "tools: %s\n", tools)
	}
	b.WriteString("sidecar doctor tells what this container may do\n")
	_, _ = io.WriteString(w, b.String())
}

// seen is another container's process.
type seen struct {
	pid      int
	name     string // without arguments: they may hold passwords
	readable bool   // its root directory
}

// foreignProcesses returns those that are in another control group than self,
// and so in another container.
func foreignProcesses(proc string, self int) []seen {
	own, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(self), "cgroup"))
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var all []seen
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		group, err := os.ReadFile(filepath.Join(dir, "cgroup"))
		if err != nil || string(group) == string(own) {
			continue
		}
		if arguments, err := os.ReadFile(filepath.Join(dir, "cmdline")); err != nil || len(arguments) == 0 {
			continue // of the kernel, or dead
		}
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		_, err = os.Stat(filepath.Join(dir, "root") + "/.")
		all = append(all, seen{pid, printable(strings.TrimSpace(string(name))), err == nil})
	}
	slices.SortFunc(all, func(a, b seen) int { return a.pid - b.pid })
	return all
}

// printable keeps a process's name from writing to the terminal what it likes.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
}

// listening returns the ports of a network namespace on which somebody listens:
// "tcp 80, 443, udp 5004".
func listening(net string) string {
	var parts []string
	for _, transport := range []struct {
		name  string
		files []string
		state string // as /proc/net has it; TCP_LISTEN, and UDP's TCP_CLOSE: not connected
	}{{"tcp", []string{"tcp", "tcp6"}, "0A"}, {"udp", []string{"udp", "udp6"}, "07"}} {
		var ports []int
		for _, name := range transport.files {
			text, err := os.ReadFile(filepath.Join(net, name))
			if err != nil {
				continue
			}
			ports = append(ports, portsIn(string(text), transport.state)...)
		}
		slices.Sort(ports)
		if ports = slices.Compact(ports); len(ports) > 0 {
			parts = append(parts, transport.name+" "+strings.Trim(fmt.Sprint(ports), "[]"))
		}
	}
	return strings.Join(parts, ", ")
}

func portsIn(text, state string) (ports []int) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil && port > 0 {
			ports = append(ports, int(port))
		}
	}
	return ports
}

func present(names ...string) string {
	var there []string
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			there = append(there, name)
		}
	}
	return strings.Join(there, ", ")
}
