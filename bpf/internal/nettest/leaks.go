package nettest

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// Descriptors returns what this process has open that a probe could leave: its
// BPF objects, sockets, event polls and files of /proc, each as the kernel
// names it.
func Descriptors(t testing.TB) []string {
	t.Helper()
	const dir = "/proc/self/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, e := range entries {
		target, err := os.Readlink(dir + e.Name())
		if err != nil || strings.HasSuffix(target, "/fd") {
			continue // the directory that is being read
		}
		open = append(open, target)
	}
	return open
}

// LeavesNothing runs fn and fails the test if more descriptors or goroutines
// are there afterwards. fn runs once before, for what a process opens only once.
func LeavesNothing(t testing.TB, fn func()) {
	t.Helper()
	fn()
	goroutines := goleak.IgnoreCurrent()
	before := Descriptors(t)
	fn()
	goleak.VerifyNone(t, goroutines)
	if after := Descriptors(t); len(after) > len(before) {
		t.Errorf("descriptors left: before %q, after %q", before, after)
	}
}
