// Package node reads what may harm any stream of this pod: a CPU that is
// withheld, memory that is short, and the probe's own pauses. It takes no
// capability. A container sees its own control group and the machine, not its
// neighbours' groups.
package node

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// Paths are where the kernel shows what is read. Tests have their own.
type Paths struct {
	// Cgroup is the directory of control groups; ProcSelfCgroup names the own one.
	Cgroup, ProcSelfCgroup string
	// Pressure is the machine's pressure stall information.
	Pressure string
}

// Default is a Linux machine's.
var Default = Paths{Cgroup: "/sys/fs/cgroup", ProcSelfCgroup: "/proc/self/cgroup", Pressure: "/proc/pressure"}

// Reader reads the node's figures. It is not safe for concurrent use.
type Reader struct {
	stat, cpu, memory   *file // the control group's
	nodeCPU, nodeMemory *file
	throttled           time.Duration
	hasThrottled        bool
	at                  time.Duration
	pauses              []metrics.Sample
	pausesBefore        []uint64
}

// Open opens what there is; what there is not is not available in Read.
func Open(p Paths) *Reader {
	r := &Reader{
		nodeCPU: open(p.Pressure, "cpu"), nodeMemory: open(p.Pressure, "memory"),
		pauses: []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}},
	}
	for _, dir := range groups(p) {
		if r.stat.missing() {
			r.stat = open(dir, "cpu.stat")
		}
		if r.cpu.missing() {
			r.cpu = open(dir, "cpu.pressure")
		}
		if r.memory.missing() {
			r.memory = open(dir, "memory.pressure")
		}
	}
	return r
}

// groups returns the directories that may be the own control group's, best
// first. In a container with a namespace of control groups the path is /; with
// version 1 the container's group is mounted as the whole.
func groups(p Paths) (dirs []string) {
	text, _ := os.ReadFile(p.ProcSelfCgroup) // without it the roots are left
	var v1 []string
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[0] == "0" && parts[1] == "" {
			dirs = append(dirs, filepath.Join(p.Cgroup, parts[2]), filepath.Join(p.Cgroup, "unified", parts[2]))
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			if controller == "cpu" {
				v1 = append(v1, filepath.Join(p.Cgroup, parts[1], parts[2]), filepath.Join(p.Cgroup, controller, parts[2]))
			}
		}
	}
	return append(append(dirs, v1...), p.Cgroup, filepath.Join(p.Cgroup, "cpu"))
}

// Read returns the figures at now, of a monotonic clock. Shares are of the time
// since the call before, so the first call has none.
func (r *Reader) Read(now time.Duration) sample.Node {
	n := sample.Node{
		AppThrottled:          sample.Unavailable("a container does not see another one's control group"),
		SidecarThrottled:      r.readThrottled(now),
		SidecarCPUPressure:    r.cpu.pressure(),
		SidecarMemoryPressure: r.memory.pressure(),
		NodeCPUPressure:       r.nodeCPU.pressure(),
		NodeMemoryPressure:    r.nodeMemory.pressure(),
		GCPauseSeconds:        r.readPauses(),
	}
	r.at = now
	return n
}

func (r *Reader) readThrottled(now time.Duration) sample.Figure {
	text, err := r.stat.read()
	if err != nil {
		return sample.Unavailable(err.Error())
	}
	throttled, ok := parseThrottled(text)
	if !ok {
		return sample.Unavailable("the control group has no CPU limit to be throttled by")
	}
	before, had := r.throttled, r.hasThrottled
	r.throttled, r.hasThrottled = throttled, true
	if !had || now <= r.at {
		return sample.Unavailable("nothing to compare with yet")
	}
	share := float64(throttled-before) / float64(now-r.at)
	return sample.Of(min(max(share, 0), 1))
}

// parseThrottled reads cpu.stat of version 2 (throttled_usec) or 1
// (throttled_time, in ns); Documentation/admin-guide/cgroup-v2.rst.
func parseThrottled(text []byte) (time.Duration, bool) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		name, value, _ := bytes.Cut(line, []byte(" "))
		unit := time.Microsecond
		switch string(name) {
		case "throttled_usec":
		case "throttled_time":
			unit = time.Nanosecond
		default:
			continue
		}
		n, err := strconv.ParseInt(string(value), 10, 64)
		return time.Duration(n) * unit, err == nil
	}
	return 0, false
}

// readPauses returns the longest pause of the collector since the call before,
// as the upper end of its bucket.
func (r *Reader) readPauses() sample.Figure {
	metrics.Read(r.pauses)
	if r.pauses[0].Value.Kind() != metrics.KindFloat64Histogram {
		return sample.Unavailable("this Go has no histogram of pauses")
	}
	h := r.pauses[0].Value.Float64Histogram()
	longest := 0.0
	for i, count := range h.Counts {
		if i < len(r.pausesBefore) && count > r.pausesBefore[i] {
			longest = h.Buckets[i] // the last bucket's upper end is infinite
			if upper := h.Buckets[i+1]; upper < 1e9 {
				longest = upper
			}
		}
	}
	r.pausesBefore = append(r.pausesBefore[:0], h.Counts...)
	return sample.Of(longest)
}

// Close closes the files.
func (r *Reader) Close() error {
	return errors.Join(r.stat.close(), r.cpu.close(), r.memory.close(), r.nodeCPU.close(), r.nodeMemory.close())
}

// file is one file that stays open, or why it can't be had.
type file struct {
	f   *os.File
	err error
	b   [4096]byte
}

func open(dir, name string) *file {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("this kernel has no " + name)
	}
	return &file{f: f, err: err}
}

func (f *file) missing() bool { return f == nil || f.f == nil }

func (f *file) read() ([]byte, error) {
	if f.missing() {
		if f == nil {
			return nil, fs.ErrNotExist
		}
		return nil, f.err
	}
	n, err := f.f.ReadAt(f.b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return f.b[:n], nil
}

// pressure returns "some avg10" in percent (Documentation/accounting/psi.rst).
func (f *file) pressure() sample.Figure {
	text, err := f.read()
	if err != nil {
		return sample.Unavailable(err.Error())
	}
	const key = "some avg10="
	_, rest, found := bytes.Cut(text, []byte(key))
	value, _, _ := bytes.Cut(rest, []byte(" "))
	percent, err := strconv.ParseFloat(string(value), 64)
	if !found || err != nil {
		return sample.Unavailable("the kernel's pressure file can't be read")
	}
	return sample.Of(percent)
}

func (f *file) close() error {
	if f.missing() {
		return nil
	}
	return f.f.Close()
}
