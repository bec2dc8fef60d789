package node

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

func TestThrottlingIsAShareOfTheTimeBetweenReads(t *testing.T) {
	for name, c := range map[string]struct {
		cgroup, dir, before, after string
	}{
		"version 2":                           {"0::/pod/app\n", "pod/app", "usage_usec 5\nthrottled_usec 1000\n", "usage_usec 5\nthrottled_usec 51000\n"},
		"version 2 in a namespace of its own": {"0::/\n", "", "throttled_usec 0\n", "throttled_usec 50000\n"},
		"version 1":                           {"3:cpu,cpuacct:/pod\n0::/\n", "cpu,cpuacct/pod", "nr_periods 1\nthrottled_time 7\n", "nr_periods 9\nthrottled_time 50000007\n"},
		"version 1 mounted whole":             {"3:cpu,cpuacct:/elsewhere\n", "cpu", "throttled_time 0\n", "throttled_time 50000000\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := machine(t, c.cgroup)
			write(t, filepath.Join(p.Cgroup, c.dir, "cpu.stat"), c.before)
			r := Open(p)
			defer r.Close()
			if _, known := r.Read(time.Second).SidecarThrottled.Get(); known {
				t.Error("the first read has nothing to compare with")
			}
			write(t, filepath.Join(p.Cgroup, c.dir, "cpu.stat"), c.after)
			if got, _ := r.Read(time.Second + 100*time.Millisecond).SidecarThrottled.Get(); got != 0.5 {
				t.Errorf("50 ms of 100 are %v", got)
			}
		})
	}
}

func TestPressureIsTheKernelsFigure(t *testing.T) {
	p := machine(t, "0::/\n")
	write(t, filepath.Join(p.Pressure, "cpu"), "some avg10=12.50 avg60=1.00 avg300=0.00 total=9\n")
	write(t, filepath.Join(p.Cgroup, "memory.pressure"), "some avg10=3.25 avg60=1.00 avg300=0.00 total=9\nfull avg10=1.00 avg60=0 avg300=0 total=1\n")
	r := Open(p)
	defer r.Close()
	n := r.Read(0)
	if got, _ := n.NodeCPUPressure.Get(); got != 12.5 {
		t.Errorf("node's CPU: %v", got)
	}
	if got, _ := n.SidecarMemoryPressure.Get(); got != 3.25 {
		t.Errorf("sidecar's memory: %v", got)
	}
	if _, known := n.NodeMemoryPressure.Get(); known || n.NodeMemoryPressure.Why() == "" {
		t.Error("a file that is not there is a figure that is not available, with its reason")
	}
}

func TestBrokenFilesAreNotAvailable(t *testing.T) {
	for _, text := range []string{"", "some avg10=", "some avg10=x avg60", "\x00\xff", "full avg10=1.0"} {
		p := machine(t, "nonsense\n:::\n0::\n")
		write(t, filepath.Join(p.Pressure, "cpu"), text)
		write(t, filepath.Join(p.Cgroup, "cpu.stat"), text)
		r := Open(p)
		n := r.Read(0)
		for _, f := range []sample.Figure{n.NodeCPUPressure, n.SidecarThrottled} {
			if _, known := f.Get(); known {
				t.Errorf("%q gave %v", text, f)
			}
		}
		r.Close()
	}
}

func TestCollectorsPausesAreSeen(t *testing.T) {
	r := Open(machine(t, ""))
	defer r.Close()
	r.Read(0)
	runtime.GC()
	if pause, known := r.Read(time.Second).GCPauseSeconds.Get(); !known || pause <= 0 {
		t.Errorf("pause of %v after a collection", pause)
	}
}

func machine(t *testing.T, cgroup string) Paths {
	dir := t.TempDir()
	p := Paths{Cgroup: filepath.Join(dir, "cgroup"), ProcSelfCgroup: filepath.Join(dir, "self"), Pressure: filepath.Join(dir, "pressure")}
	write(t, p.ProcSelfCgroup, cgroup)
	return p
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
