package nettest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
)

// childOf names the test that a process was started for by WithCapabilities.
const childOf = "NETTEST_CHILD_OF"

// WithCapabilities runs fn in a process of its own, as root with exactly these
// capabilities in its bounding set: as a container of Kubernetes has them that
// drops ALL and adds these. The calling test must not have run anything before
// that it does not want to run twice.
func WithCapabilities(t *testing.T, capabilities []bpf.Capability, fn func(*testing.T)) {
	t.Helper()
	if os.Getenv(childOf) == t.Name() {
		fn(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("dropping capabilities needs root")
	}
	// Each part of the name is matched by itself.
	parts := strings.Split(t.Name(), "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	cmd := exec.Command("/proc/self/exe", "-test.run="+strings.Join(parts, "/"), "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), childOf+"="+t.Name())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		if err := keepOnly(capabilities); err != nil {
			done <- err
			return
		}
		done <- cmd.Run()
	}()
	err := <-done
	switch {
	case err != nil:
		t.Fatalf("with %v only: %v\n%s", capabilities, err, out.Bytes())
	case bytes.Contains(out.Bytes(), []byte("--- SKIP: "+t.Name())):
		t.Skipf("with %v only: skipped\n%s", capabilities, out.Bytes())
	case !bytes.Contains(out.Bytes(), []byte("--- PASS: "+t.Name())):
		t.Fatalf("with %v only: the test did not run\n%s", capabilities, out.Bytes())
	}
}

// keepOnly takes all other capabilities out of the calling thread's bounding
// set: a program that root starts from this thread has these and no others.
func keepOnly(capabilities []bpf.Capability) error {
	keep := map[bpf.Capability]bool{}
	for _, c := range capabilities {
		keep[c] = true
	}
	for c := bpf.Capability(0); ; c++ {
		if keep[c] {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		if err == unix.EINVAL {
			return nil // past the last one that this kernel knows
		}
		if err != nil {
			return fmt.Errorf("dropping %v: %w", c, err)
		}
	}
}
