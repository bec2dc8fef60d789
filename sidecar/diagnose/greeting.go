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
	"time"
	"unicode"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/proc"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/session"
)

// greetWithin bounds how long a person waits for the prompt: a process may hang so
// that who looks at it does.
const greetWithin = 5 * time.Second

// inTime returns what fn does, or ok false if that takes longer. fn then goes on,
// and is left to the end of the program.
func inTime[T any](limit time.Duration, fn func() T) (result T, ok bool) {
	done := make(chan T, 1)
	go func() { done <- fn() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case result = <-done:
		return result, true
	case <-timer.C:
		return result, false
	}
}

// greet says what can be seen from here.
func greet(w io.Writer, v *View, t session.Time) {
	text, ok := inTime(greetWithin, func() string { return greeting(v, t) })
	if !ok {
		text = "[debugsidecar] a process here hangs who looks at it: no greeting\n"
	}
	_, _ = io.WriteString(w, text)
}

func greeting(v *View, t session.Time) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s "+format+"\n", append([]any{name}, args...)...)
	}
	b.WriteString("debugsidecar")
	if pod := os.Getenv("DEBUGSIDECAR_POD"); pod != "" {
		fmt.Fprintf(&b, " in pod %s", shown(pod))
	}
	b.WriteByte('\n')
	sessionLines(line, t)
	targetLines(line, v)
	if ports := listening("/proc/thread-self/net"); ports != "" {
		line("ports", "%s", ports)
	}
	processes := foreignProcesses("/proc", os.Getpid())
	if v != nil && v.Target != nil {
		processes = slices.DeleteFunc(processes, func(p seen) bool { return p.pid == v.Target.PID })
	}
	processLine(line, processes, v)
	for _, f := range processFindings() {
		if f.Name == "capabilities" {
			line("we", "uid %d, capabilities: %s", os.Geteuid(), f.Found)
		}
	}
	if tools := present("tcpdump", "strace", "curl", "jq", "dig", "ss", "ip", "gdb", "bpftrace", "ffprobe"); tools != "" {
		line("tools", "%s", tools)
	}
	line("more", "sidecar doctor: what this container may do; sidecar snapshot -o FILE: all of it in one archive")
	return b.String()
}

// sessionLines tell of the session's record.
func sessionLines(line func(name, format string, args ...any), t session.Time) {
	who := os.Getenv("DEBUGSIDECAR_SESSION_USER")
	at, ends := t.Ends()
	if !ends && who == "" {
		return
	}
	until := "without an end"
	if ends {
		until = fmt.Sprintf("until %s UTC (in %s)", at.Format(time.TimeOnly), time.Until(at).Round(time.Second))
	}
	if who != "" {
		until += ", recorded for " + shown(who)
	}
	for _, part := range []struct{ name, env string }{{"ticket", "TICKET"}, {"reason", "REASON"}} {
		if text := os.Getenv("DEBUGSIDECAR_SESSION_" + part.env); text != "" {
			until += fmt.Sprintf(", %s: %s", part.name, shown(text))
		}
	}
	line("session", "%s", until)
	if t.Problem != "" {
		line("", "%s", printable(t.Problem))
	}
}

func targetLines(line func(name, format string, args ...any), v *View) {
	switch {
	case v == nil:
		line("target", "a process here hangs who looks at it: it can't be told")
	case v.Target == nil && v.Name != "":
		line("target", "%s, not found: %s", shown(v.Name), printable(v.WhyNot))
	case v.Target != nil:
		sure := ""
		if v.Target.Confidence != "id" {
			sure = "probably "
		}
		line("target", "%s: %spid %d (%s): %s", shown(v.Name), sure, v.Target.PID, printable(v.Target.Name), v.Target.Why)
		if path := v.RootPath(); path != "" {
			text := path
			if v.Root.OS != "" {
				text += ", " + v.Root.OS
			}
			line("root", "%s ($TARGET_ROOT)", text)
		} else {
			line("root", "no: %s", printable(v.RootWhyNot))
		}
	}
}

// processLine names processes of other containers in one line.
func processLine(line func(name, format string, args ...any), processes []seen, v *View) {
	if len(processes) == 0 {
		if v == nil || v.Target == nil {
			line("processes", "none of other containers: that takes a target container, or shareProcessNamespace in the pod")
		}
		return
	}
	const most = 10
	var names []string
	for i, p := range processes {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(processes)-most))
			break
		}
		access := ""
		if !p.readable {
			access = " (closed)"
		}
		names = append(names, fmt.Sprintf("%d %s%s", p.pid, p.name, access))
	}
	line("processes", "of other containers: %s", strings.Join(names, ", "))
}

// shown is a value from the environment as a person may see it.
func shown(value string) string {
	const most = 256
	value = printable(value)
	if runes := []rune(value); len(runes) > most {
		value = string(runes[:most]) + "..."
	}
	return value
}

// seen is another container's process.
type seen struct {
	pid      int
	name     string // without arguments: they may hold passwords
	readable bool   // its root directory
}

// foreignProcesses returns those that are in another control group than self,
// and so in another container.
func foreignProcesses(root string, self int) []seen {
	own, err := proc.Read(root, self)
	if err != nil {
		return nil
	}
	list, err := proc.List(root)
	if err != nil {
		return nil
	}
	var all []seen
	for _, p := range list {
		if p.Kernel || p.Dead() || p.Groups.Within(own.Groups) {
			continue
		}
		_, err := os.Stat(filepath.Join(root, strconv.Itoa(p.PID), "root") + "/.")
		all = append(all, seen{p.PID, printable(p.Name), err == nil})
	}
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
