package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose"
	"github.com/debugsidecar/debugsidecar/sidecar/diagnose/inroot"
)

// gather is what a part does.
type gather = func(ctx context.Context) (text []byte, cut bool, err error)

// parts returns all parts in their order, what is cheap and sure first.
func (l *look) parts() []part {
	all := []part{
		{name: "versions.json", from: "this program, uname", json: true, gather: l.versions},
		{name: "session.json", from: "this container's environment", json: true, gather: sessionRecord},
		{name: "target.json", from: "/proc", json: true, gather: func(context.Context) ([]byte, bool, error) { return encoded(l.view) }},
		{name: "processes.json", from: "/proc/PID", json: true, gather: l.processTable},
		{name: "sockets.json", from: "/proc/net/{tcp,udp}{,6}, /proc/PID/fd", json: true, gather: l.socketTable},
	}
	for _, name := range []string{"snmp", "snmp6", "netstat", "softnet_stat", "dev", "sockstat", "sockstat6", "route"} {
		all = append(all, l.figures("net/"+name, "/proc/thread-self/net/"+name))
	}
	for _, name := range []string{"cpu", "memory", "io"} {
		all = append(all, l.figures("pressure/"+name, "/proc/pressure/"+name))
	}
	all = append(all,
		l.plain("own/mounts", "/proc/self/mountinfo"), l.figures("own/limits", "/proc/self/limits"),
		part{name: "own/environment.json", from: "this container's environment, names alone", json: true, gather: func(context.Context) ([]byte, bool, error) { return names(os.Environ()) }})
	for _, name := range cgroupFiles {
		all = append(all, part{name: "own/cgroup/" + name, from: "/sys/fs/cgroup", figures: true, gather: ownCgroup(name)})
	}
	all = append(all,
		part{name: "target/mounts", from: "/proc/TARGET/mountinfo", gather: l.ofTarget("mountinfo")},
		part{name: "target/limits", from: "/proc/TARGET/limits", figures: true, gather: l.ofTarget("limits")},
		part{name: "target/environment.json", from: "/proc/TARGET/environ, names alone", json: true, gather: l.targetEnvironment})
	for _, name := range cgroupFiles {
		all = append(all, part{name: "target/cgroup/" + name, from: "/sys/fs/cgroup below /proc/TARGET/root", figures: true, gather: l.targetCgroup(name)})
	}
	for _, name := range []string{"etc/os-release", "etc/hostname", "etc/hosts", "etc/resolv.conf"} {
		all = append(all, part{name: "target/" + name, from: "below /proc/TARGET/root", gather: l.inTarget(name, 64<<10, 0)})
	}
	all = append(all,
		part{name: "doctor.json", from: "sidecar doctor", json: true, gather: l.doctor},
		part{name: "drops.json", from: "the kernel's tracepoint of drops, for a second", json: true, gather: drops})
	for _, name := range []string{"status", "history", "marks"} {
		all = append(all, part{name: "probe/" + name + ".json", from: "the video probe's /api/v1/" + name, json: true, gather: l.probe(name)})
	}
	return all
}

func encoded(v any) ([]byte, bool, error) {
	text, err := encode(v)
	return text, false, err
}

// file returns a part that is a file of the kernel's as it is.
func (l *look) plain(name, path string) part {
	return part{name: name, from: path, gather: func(context.Context) ([]byte, bool, error) { return head(path) }}
}

func (l *look) figures(name, path string) part {
	p := l.plain(name, path)
	p.figures = true
	return p
}

func head(path string) (text []byte, cut bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, mostPart+1))
	if len(text) > mostPart {
		return text[:mostPart], true, err
	}
	return text, false, err
}

func (l *look) versions(context.Context) ([]byte, bool, error) {
	return encoded(map[string]any{
		"sidecar": l.o.version, "go": runtime.Version(), "kernel": kernel(), "processors": runtime.NumCPU(),
		"uid": os.Geteuid(), "gid": os.Getegid(),
	})
}

// sessionRecord is what the plugin and the webhook wrote of this session.
func sessionRecord(context.Context) ([]byte, bool, error) {
	record := map[string]string{}
	for _, name := range []string{
		"DEBUGSIDECAR_POD", "DEBUGSIDECAR_TARGET_CONTAINER", "DEBUGSIDECAR_TARGET_ID", "DEBUGSIDECAR_SESSION_TTL",
		"DEBUGSIDECAR_SESSION_USER", "DEBUGSIDECAR_SESSION_REQUEST", "DEBUGSIDECAR_SESSION_SINCE", "DEBUGSIDECAR_SESSION_UNTIL",
		"DEBUGSIDECAR_SESSION_TICKET", "DEBUGSIDECAR_SESSION_REASON",
	} {
		if value := os.Getenv(name); value != "" {
			record[name] = value
		}
	}
	if len(record) == 0 {
		return nil, false, errors.New("this container is no debug session's")
	}
	return encoded(record)
}

// names returns the names of an environment, sorted.
func names(environment []string) ([]byte, bool, error) {
	all := []string{}
	for _, one := range environment {
		if name, _, ok := strings.Cut(one, "="); ok && name != "" {
			all = append(all, strings.ToValidUTF8(name, "?"))
		}
	}
	slices.Sort(all)
	return encoded(slices.Compact(all))
}

var cgroupFiles = []string{
	"cpu.stat", "cpu.max", "cpu.weight", "cpu.pressure", "memory.current", "memory.max", "memory.high", "memory.events", "memory.stat",
	"memory.pressure", "io.stat", "io.pressure", "pids.current", "pids.max",
}

// version1 are the files of version 1 that say the same.
var version1 = map[string]string{
	"cpu.stat": "cpu/cpu.stat", "cpu.max": "cpu/cpu.cfs_quota_us", "cpu.weight": "cpu/cpu.shares", "memory.current": "memory/memory.usage_in_bytes",
	"memory.max": "memory/memory.limit_in_bytes", "memory.events": "memory/memory.failcnt", "memory.stat": "memory/memory.stat",
	"pids.current": "pids/pids.current", "pids.max": "pids/pids.max",
}

// ownCgroup reads a file of our own group: the container's, where its control
// groups are mounted.
func ownCgroup(name string) gather {
	return func(context.Context) ([]byte, bool, error) {
		text, cut, err := head("/sys/fs/cgroup/" + name)
		if other, ok := version1[name]; ok && errors.Is(err, os.ErrNotExist) {
			return head("/sys/fs/cgroup/" + other)
		}
		return text, cut, err
	}
}

// targetCgroup reads it from the target's own mount, and nothing that was put in
// its place.
func (l *look) targetCgroup(name string) gather {
	return func(ctx context.Context) ([]byte, bool, error) {
		text, cut, err := l.inTarget("sys/fs/cgroup/"+name, mostPart, unix.CGROUP2_SUPER_MAGIC)(ctx)
		if other, ok := version1[name]; ok && errors.Is(err, os.ErrNotExist) {
			return l.inTarget("sys/fs/cgroup/"+other, mostPart, unix.CGROUP_SUPER_MAGIC)(ctx)
		}
		return text, cut, err
	}
}

// inTarget reads a file below the target's root.
func (l *look) inTarget(path string, most int, filesystem int64) gather {
	return func(context.Context) ([]byte, bool, error) {
		root, err := l.view.OpenRoot()
		if err != nil {
			return nil, false, fmt.Errorf("the target's root: %w", err)
		}
		defer unix.Close(root)
		return inroot.Read(root, path, most, filesystem)
	}
}

// targetToken is the target's own token for the API server.
func (l *look) targetToken() string {
	text, _, _ := l.inTarget(tokenFiles[0], 16<<10, 0)(context.Background())
	return string(text)
}

func (l *look) ofTarget(name string) gather {
	return func(context.Context) ([]byte, bool, error) {
		if l.view.Target == nil {
			return nil, false, fmt.Errorf("the target: %s", l.view.WhyNot)
		}
		return head(filepath.Join(l.o.proc, strconv.Itoa(l.view.Target.PID), name))
	}
}

func (l *look) targetEnvironment(ctx context.Context) ([]byte, bool, error) {
	text, _, err := l.ofTarget("environ")(ctx)
	if err != nil {
		return nil, false, err
	}
	return names(strings.Split(string(text), "\x00"))
}

func (l *look) doctor(ctx context.Context) ([]byte, bool, error) {
	return encoded(diagnose.Examine(ctx, l.o.runDir, "", nil))
}

// drops counts what the kernel drops in this pod's network in a second.
func drops(ctx context.Context) ([]byte, bool, error) {
	p, err := drop.Open(drop.Options{})
	if err != nil {
		return nil, false, err
	}
	defer p.Close()
	if p.Tier() != bpf.TierKernel {
		return nil, false, fmt.Errorf("by reason it takes the kernel tier (net/snmp has UDP's counters): %w", p.Why())
	}
	const during = time.Second
	select {
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case <-time.After(during):
	}
	counts, err := p.Counts()
	if err != nil {
		return nil, false, err
	}
	type line struct {
		Reason string `json:"reason"`
		Family uint16 `json:"family"`
		Proto  uint8  `json:"protocol"`
		Drops  uint64 `json:"drops"`
	}
	lines := []line{}
	for _, c := range counts {
		lines = append(lines, line{c.Reason, c.Family, c.Proto, c.Drops})
	}
	slices.SortFunc(lines, func(a, b line) int {
		return strings.Compare(fmt.Sprintf("%s %05d %03d", a.Reason, a.Family, a.Proto), fmt.Sprintf("%s %05d %03d", b.Reason, b.Family, b.Proto))
	})
	return encoded(map[string]any{"seconds": during.Seconds(), "drops": lines})
}

// recent leaves what is older than the cutoff out of lists of things with a time.
func recent(text []byte, cutoff time.Time) []byte {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return text // whoever masks it says so
	}
	old := func(one any) bool {
		fields, _ := one.(map[string]any)
		at, _ := fields["ts"].(string)
		t, err := time.Parse(time.RFC3339Nano, at)
		return err == nil && t.Before(cutoff)
	}
	switch all := v.(type) {
	case []any:
		v = slices.DeleteFunc(all, old)
	case map[string]any:
		if alerts, ok := all["alerts"].([]any); ok {
			all["alerts"] = slices.DeleteFunc(alerts, old)
		}
	}
	kept, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return kept
}
