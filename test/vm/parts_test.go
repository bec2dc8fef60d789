package vm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConsoleIsRead(t *testing.T) {
	p := parser{start: time.Now()}
	for line := range strings.Lines(`noise from the firmware
@@booted
@@begin bpf-drop
=== RUN   TestA
    a_test.go:5: why
--- FAIL: TestA (0.10s)
    --- PASS: TestA/b (0.05s)
--- SKIP: TestC (0.00s)
FAIL
@@end bpf-drop exit_status_1 2.1s
@@begin bpf-rtp
--- PASS: TestD (0.01s)
@@end bpf-rtp 0 1s
@@complaint 4,123,-;WARNING: CPU: 0
`) {
		p.line(strings.TrimSuffix(line, "\n"))
	}
	r := p.result
	if len(r.Packages) != 2 || r.Packages[0].Passed || !r.Packages[1].Passed || len(r.Complaints) != 1 || p.inside {
		t.Fatalf("%+v", r)
	}
	r.Release = "6.1"
	if got, want := r.Summary(), "kernel 6.1: 2 passed, 1 skipped (TestC), 1 failed, boot 0 s, total 0 s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.Contains(strings.Join(r.Packages[0].Output, "\n"), "a_test.go:5: why") {
		t.Errorf("the output is %q", r.Packages[0].Output)
	}
}

// The archive is one that cpio reads.
func TestArchiveIsCpio(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("cpio is not installed")
	}
	var b bytes.Buffer
	a := newArchive(&b)
	a.dir("tests")
	a.text("tests/odd", "12345")
	a.text("init", "")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cpio", "-idm", "--quiet")
	cmd.Dir, cmd.Stdin = t.TempDir(), &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(cmd.Dir, "tests", "odd")); string(got) != "12345" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsNoKernelIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vmlinuz")
	header := make([]byte, 0x250)
	copy(header[0x202:], "HdrS")
	header[0x24c] = 200 // a payload beyond the end
	for _, b := range [][]byte{nil, []byte("MZ"), make([]byte, 0x300), header} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := extract(t.Context(), path, path+".out"); err == nil {
			t.Errorf("%d bytes: no error", len(b))
		}
	}
}
