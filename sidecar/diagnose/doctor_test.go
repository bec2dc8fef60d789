package diagnose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	programs["doctor"] = func() error {
		return Examine(context.Background(), os.TempDir(), "", nil).write(os.Stdout, true)
	}
	programs["doctor with nothing"] = func() error { return doctorWith(0) }
	programs["doctor of the kernel tier"] = func() error { return doctorWith(kernelTier) }
	programs["doctor without NET_RAW"] = func() error { return doctorWith(kernelTier &^ (1 << unix.CAP_NET_RAW)) }
	programs["doctor without proc"] = func() error {
		if err := container(plainRelease); err != nil {
			return err
		}
		return programs["doctor"]()
	}
}

// doctorWith becomes root with these capabilities alone, and then doctor.
func doctorWith(capabilities uint64) error {
	runtime.LockOSThread()
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if capabilities&(1<<c) == 0 {
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		}
	}
	os.Setenv(program, "doctor")
	return syscall.Exec("/proc/self/exe", []string{"doctor"}, os.Environ())
}

func doctor(t *testing.T, attributes syscall.SysProcAttr, name string) *Report {
	t.Helper()
	root(t)
	text := begin(t, attributes, name).rest()
	r := new(Report)
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return r
}

func (r *Report) finding(t *testing.T, name string) Finding {
	t.Helper()
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("nothing is said of %s: %+v", name, r.Findings)
	}
	return r.Findings[i]
}

func TestDoctorNamesWhatIsMissing(t *testing.T) {
	if r := doctor(t, syscall.SysProcAttr{}, "doctor"); r.finding(t, "BTF").State != OK || r.finding(t, "RTP").State != OK {
		t.Skipf("this machine has no kernel tier: %+v", r.Findings)
	}
	for _, c := range []struct {
		name, tier, missing string
		drops, rtp          State
	}{
		{"doctor with nothing", "user", "NET_RAW, PERFMON, BPF", Limited, Limited},
		{"doctor of the kernel tier", "kernel", "", OK, OK},
		{"doctor without NET_RAW", "kernel", "NET_RAW", OK, Limited},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := doctor(t, syscall.SysProcAttr{}, c.name)
			if r.Tier != c.tier || !r.works() {
				t.Errorf("tier %s, works %v", r.Tier, r.works())
			}
			own := r.finding(t, "capabilities")
			if c.missing == "" && own.State != OK || c.missing != "" && !strings.HasSuffix(own.Costs, "it lacks "+c.missing) {
				t.Errorf("capabilities: %+v", own)
			}
			for name, want := range map[string]State{"dropped packets": c.drops, "RTP": c.rtp} {
				f := r.finding(t, name)
				if f.State != want || want == Limited && (f.Costs == "" || f.Takes != forKernelTier || !strings.Contains(f.Found+f.Costs, "CAP_")) {
					t.Errorf("%s: %+v", name, f)
				}
			}
		})
	}
}

func TestDoctorSaysWhereNothingWorks(t *testing.T) {
	r := doctor(t, syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, "doctor without proc")
	if r.works() || r.finding(t, "proc").State != Broken {
		t.Errorf("works without /proc: %+v", r)
	}
}

func TestUserNamespaceIsNamed(t *testing.T) {
	if _, err := os.Stat("/proc/self/ns/user"); err != nil {
		t.Skip("this kernel has no user namespaces")
	}
	r := doctor(t, syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
	}, "doctor")
	if f := r.finding(t, "user namespace"); f.State != Limited || r.Tier != "user" {
		t.Errorf("tier %s, %+v", r.Tier, f)
	}
	if f := r.finding(t, "dropped packets"); f.State != Limited {
		t.Errorf("%+v", f)
	}
}

// Whatever is not as good as it gets, says what it costs.
func TestEachLimitSaysWhatItCosts(t *testing.T) {
	r := Examine(t.Context(), "/nowhere", "/nowhere/worker", nil)
	for _, f := range r.Findings {
		if (f.State == Limited || f.State == Broken) != (f.Costs != "") || f.Found == "" || f.Name == "" {
			t.Errorf("%+v", f)
		}
	}
	if f := r.finding(t, "run directory"); f.State != Limited || f.Found != "/nowhere: no such file or directory" {
		t.Errorf("%+v", f)
	}
	var table bytes.Buffer
	if err := r.write(&table, false); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if !strings.Contains(table.String(), f.Name) || !strings.Contains(table.String(), f.Found) {
			t.Errorf("the table has no %s", f.Name)
		}
	}
}

func TestCaptureProgramIsTried(t *testing.T) {
	dir := t.TempDir()
	worker := filepath.Join(dir, "worker")
	if err := os.WriteFile(worker, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	starts := func(context.Context, string) (string, error) { return "OpenCV 4.6.0", nil }
	fails := func(context.Context, string) (string, error) { return "", errors.New("libopencv_core.so: not found") }
	for _, c := range []struct {
		worker string
		try    TryWorker
		state  State
		says   string
	}{
		{"", starts, Limited, "there is no capture program"},
		{dir + "/none", starts, Limited, "no such file"},
		{worker, starts, OK, "starts: OpenCV 4.6.0"},
		{worker, fails, Limited, "does not start: libopencv_core.so: not found"},
		{worker, nil, OK, "it was not tried"},
	} {
		f := placeFindings(t.Context(), dir, c.worker, c.try)[1]
		if f.State != c.state || !strings.Contains(f.Found, c.says) {
			t.Errorf("%q: %+v", c.worker, f)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("doctor left something: %v %v", left, err)
	}
}

func TestTierThatTheProfileSetsIsSaid(t *testing.T) {
	t.Setenv("DEBUGSIDECAR_TIER", "user")
	if r := Examine(t.Context(), t.TempDir(), "", nil); r.Tier == "kernel" {
		t.Errorf("tier %s", r.Tier)
	}
}

func TestCapabilitiesAreNamed(t *testing.T) {
	if len(capabilityNames) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d names, the kernel has %d", len(capabilityNames), unix.CAP_LAST_CAP+1)
	}
	for set, want := range map[uint64]string{
		0: "none", 1<<41 - 1: "all", 1<<41 - 1 - 1<<24: "all but SYS_RESOURCE", kernelTier: "NET_RAW, PERFMON, BPF",
		1<<unix.CAP_CHOWN | 1<<50: "CHOWN, number 50",
	} {
		if got := capabilities(set); got != want {
			t.Errorf("%x: %s", set, got)
		}
	}
}

func TestOldKernelsAreKnown(t *testing.T) {
	for release, want := range map[string]bool{
		"5.15.0-91-generic": true, "6.0.12": true, "6.1.0-18-amd64": false, "6.12.1": false, "7.0": false, "odd": false,
	} {
		if tooOld(release) != want {
			t.Errorf("%s: %v", release, !want)
		}
	}
}

func TestMemoryLimitIsRead(t *testing.T) {
	for _, c := range []struct {
		file, text string
		found      string
		state      State
	}{
		{"memory.max", "max\n", "none", OK},
		{"memory.max", "1073741824\n", "1024 MiB", OK},
		{"memory.max", "67108864\n", "64 MiB", Limited},
		{"memory.limit_in_bytes", "67108864\n", "64 MiB", Limited},
		{"memory.limit_in_bytes", "9223372036854771712\n", "none", OK},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if f := memoryLimit(groups{memory: dir}); f.Found != c.found || f.State != c.state {
			t.Errorf("%s %s: %+v", c.file, c.text, f)
		}
	}
}

func TestControlGroupsOfVersion1AreFound(t *testing.T) {
	mount := t.TempDir()
	self := filepath.Join(mount, "self")
	if err := os.WriteFile(self, []byte("4:memory:/pods/a\n1:cpu,cpuacct:/pods/b\n0::/\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// The memory group is seen under its path, that of the CPU as the whole mount.
	for _, dir := range []string{"memory/pods/a", "cpu"} {
		if err := os.MkdirAll(filepath.Join(mount, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	want := groups{"version 1", filepath.Join(mount, "cpu"), filepath.Join(mount, "memory/pods/a")}
	if got := controlGroups(mount, self); got != want {
		t.Errorf("%+v", got)
	}
}
