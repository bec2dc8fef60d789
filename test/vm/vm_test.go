package vm_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/test/vm"
)

// packages are those that say something about kernels.
var packages = []string{"./bpf/drop", "./bpf/rtp", "./bpf/v4l2", "./bpf/correlate"}

// maySkip says whether a kernel has not what a test takes. Any other skip is a
// failure.
func maySkip(k vm.Kernel, test string) bool {
	return k.Name == "6.1" && strings.Contains(test, "/tcx") // it came with 6.6
}

// TestKernels boots each kernel once and runs all that depends on kernels there.
func TestKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a kernel takes minutes")
	}
	for _, k := range vm.Kernels {
		t.Run(k.Name, func(t *testing.T) { testKernel(t, k) })
	}
}

func testKernel(t *testing.T, k vm.Kernel) {
	var console bytes.Buffer
	result, err := k.Run(t.Context(), packages, nil, &console, func(line string) { t.Log(line) })
	if errors.Is(err, vm.ErrUnavailable) {
		summary(t, fmt.Sprintf("kernel %s: not run: %v", k.Name, err))
		t.Skip(err)
	}
	if err != nil {
		summary(t, fmt.Sprintf("kernel %s: failed: %v", k.Name, strings.SplitN(err.Error(), "\n", 2)[0]))
		t.Fatal(err)
	}
	summary(t, result.Summary())
	for _, complaint := range result.Complaints {
		t.Errorf("the kernel complained: %s", complaint)
	}
	for _, p := range result.Packages {
		t.Run(p.Name, func(t *testing.T) {
			failed := !p.Passed
			for _, test := range p.Tests {
				if test.Outcome == vm.Skip && !maySkip(k, test.Name) {
					failed = true
					t.Errorf("%s was skipped", test.Name)
				}
				if test.Outcome == vm.Fail {
					t.Errorf("%s failed", test.Name)
				}
			}
			if len(p.Tests) == 0 {
				failed = true
				t.Error("no test ran")
			}
			if failed {
				t.Errorf("its output:\n%s", strings.Join(p.Output, "\n"))
			}
		})
	}
}

// summary logs a line, and appends it to the file that VM_SUMMARY names: go test
// shows what passed to nobody.
func summary(t *testing.T, line string) {
	t.Helper()
	t.Log(line)
	path := os.Getenv("VM_SUMMARY")
	if path == "" {
		return
	}
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
}
