// Package probe_test runs the sidecar's video probe as a pod does: the built
// program, in a network namespace of its own, with real streams, sockets that
// overflow, and a receiver of alerts.
package probe_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// inside is set in the test's second process, which has a network namespace of
// its own. It ends with the process.
const inside = "DEBUGSIDECAR_TEST_INSIDE"

// program is the built sidecar.
var program string

// noNamespace is why there is no network namespace.
var noNamespace = "needs root: it makes a network namespace"

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run()) // each test is skipped
	}
	if os.Getenv(inside) == "" && os.Geteuid() == 0 {
		os.Exit(again())
	}
	os.Exit(run(m))
}

// again runs the same tests in a new network namespace.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		noNamespace = fmt.Sprintf("making a network namespace: %v", err)
		fmt.Println(noNamespace)
		return 1
	}
	return 0
}

func run(m *testing.M) int {
	if os.Getenv(inside) == "" {
		return m.Run() // each test is skipped
	}
	dir, err := os.MkdirTemp("", "debugsidecar-probe-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // a test runs it as another user
		fmt.Println(err)
		return 1
	}
	program = filepath.Join(dir, "sidecar")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, "../../sidecar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("building the sidecar: %v\n%s", err, out)
		return 1
	}
	if err := loopback(); err != nil {
		fmt.Println(err)
		return 1
	}
	return m.Run()
}

func loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return netlink.LinkSetUp(lo)
}

func needsNamespace(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: it is paced")
	}
	if os.Getenv(inside) == "" {
		t.Skip(noNamespace)
	}
}
