package snapshot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/cgroup"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/proc"
)

const (
	mostProcesses = 2000
	mostArguments = 4096 // bytes that are looked at
	mostShown     = 64   // arguments that are shown
	mostSockets   = 4000
	mostFiles     = 4096 // descriptors of a process
)

// row is a process in the table.
type row struct {
	PID       int      `json:"pid"`
	Parent    int      `json:"parent"`
	State     string   `json:"state"`
	Name      string   `json:"name"`
	Container string   `json:"container,omitempty"` // its id, where it is another one
	Own       bool     `json:"own,omitempty"`       // in our own container
	UID       string   `json:"uid,omitempty"`
	Threads   string   `json:"threads,omitempty"`
	RSS       string   `json:"rss,omitempty"`
	Start     uint64   `json:"startTicks"`
	Arguments []string `json:"arguments,omitempty"`
	Truncated bool     `json:"truncated,omitempty"`
}

func (l *look) processTable(ctx context.Context) ([]byte, bool, error) {
	if l.err != nil {
		return nil, false, l.err
	}
	var own cgroup.Membership
	for _, p := range l.processes {
		if p.PID == os.Getpid() {
			own = p.Groups
		}
	}
	rows := []row{}
	for _, p := range l.processes {
		if len(rows) == mostProcesses || ctx.Err() != nil {
			break
		}
		if p.Kernel {
			continue
		}
		r := row{PID: p.PID, Parent: p.Parent, State: string(p.State), Name: strings.ToValidUTF8(p.Name, "?"), Start: p.Start,
			Container: p.Groups.Container(own), Own: p.Groups.Within(own)}
		if status, _, err := head(filepath.Join(l.o.proc, strconv.Itoa(p.PID), "status")); err == nil {
			r.UID, r.Threads, r.RSS = field(status, "Uid:"), field(status, "Threads:"), field(status, "VmRSS:")
		}
		arguments, cut, err := proc.CommandLine(l.o.proc, p.PID, mostArguments)
		if err == nil {
			if len(arguments) > mostShown {
				arguments, cut = arguments[:mostShown], true
			} else if cut && len(arguments) > 0 {
				arguments = arguments[:len(arguments)-1] // a part of a secret is not known as one
			}
			r.Arguments, r.Truncated = l.redact.arguments(arguments), cut
		}
		rows = append(rows, r)
	}
	text, err := encode(rows)
	return text, len(rows) == mostProcesses || ctx.Err() != nil, err
}

func field(text []byte, name string) string {
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			first, _, _ := strings.Cut(strings.TrimSpace(rest), "\t")
			return first
		}
	}
	return ""
}

// secretsOf returns all processes' environments, for what must not be shown.
func secretsOf(root string, processes []proc.Process) (all []string) {
	for i, p := range processes {
		if i == mostProcesses {
			break
		}
		if p.Kernel {
			continue
		}
		if text, _, err := head(filepath.Join(root, strconv.Itoa(p.PID), "environ")); err == nil {
			all = append(all, strings.Split(string(text), "\x00")...)
		}
	}
	return all
}

// socket is a line of the kernel's tables.
type socket struct {
	Protocol string `json:"protocol"`
	Local    string `json:"local"`
	Remote   string `json:"remote"`
	State    string `json:"state"`
	Send     uint64 `json:"sendQueue"`
	Receive  uint64 `json:"receiveQueue"`
	Drops    uint64 `json:"drops,omitempty"`
	UID      string `json:"uid"`
	Inode    string `json:"inode"`
	PIDs     []int  `json:"pids,omitempty"`
}

var states = []string{"", "established", "syn-sent", "syn-received", "fin-wait-1", "fin-wait-2", "time-wait", "close", "close-wait", "last-ack", "listen", "closing"}

func (l *look) socketTable(ctx context.Context) ([]byte, bool, error) {
	sockets := []socket{}
	cut := false
	var errs []error
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, more, err := head("/proc/thread-self/net/" + protocol)
		if errors.Is(err, os.ErrNotExist) && strings.HasSuffix(protocol, "6") {
			continue // IPv6 is off
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		cut = cut || more
		sockets = append(sockets, parseSockets(protocol, string(text))...)
	}
	if len(sockets) > mostSockets {
		sockets, cut = sockets[:mostSockets], true
	}
	owners := l.owners(ctx)
	for i := range sockets {
		sockets[i].PIDs = owners[sockets[i].Inode]
	}
	text, err := encode(sockets)
	return text, cut, errors.Join(append(errs, err)...)
}

func parseSockets(protocol, text string) (all []socket) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[0] == "sl" {
			continue
		}
		send, receive, _ := strings.Cut(f[4], ":")
		state, err := strconv.ParseUint(f[3], 16, 8)
		s := socket{Protocol: protocol, Local: endpoint(f[1]), Remote: endpoint(f[2]), UID: f[7], Inode: f[9]}
		if err != nil || s.Local == "" || s.Remote == "" {
			continue
		}
		if int(state) < len(states) {
			s.State = states[state]
		}
		s.Send, _ = strconv.ParseUint(send, 16, 64)
		s.Receive, _ = strconv.ParseUint(receive, 16, 64)
		if strings.HasPrefix(protocol, "udp") && len(f) > 12 {
			s.Drops, _ = strconv.ParseUint(f[12], 10, 64)
		}
		all = append(all, s)
	}
	return all
}

// endpoint reads an address as the kernel writes it: words of 32 bits in the
// machine's order, which is little endian where we run, and a port.
func endpoint(text string) string {
	address, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(address)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b) != 4 && len(b) != 16 {
		return ""
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	at, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(at.Unmap(), uint16(n)).String()
}

// owners returns the processes that have each socket, by inode, as far as we may
// look at their files.
func (l *look) owners(ctx context.Context) map[string][]int {
	all := map[string][]int{}
	for i, p := range l.processes {
		if i == mostProcesses || ctx.Err() != nil {
			break
		}
		dir, err := os.Open(filepath.Join(l.o.proc, strconv.Itoa(p.PID), "fd"))
		if err != nil {
			continue
		}
		names, _ := dir.Readdirnames(mostFiles)
		for _, name := range names {
			b := make([]byte, 64)
			n, err := unix.Readlinkat(int(dir.Fd()), name, b)
			if err != nil {
				continue
			}
			var inode uint64
			if _, err := fmt.Sscanf(string(b[:n]), "socket:[%d]", &inode); err == nil {
				key := strconv.FormatUint(inode, 10)
				if !slices.Contains(all[key], p.PID) {
					all[key] = append(all[key], p.PID)
				}
			}
		}
		dir.Close()
	}
	return all
}

// isTerminal says whether a file is one.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
