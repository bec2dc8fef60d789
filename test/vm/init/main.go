// Command init is the first and only process of a test's virtual machine: it
// mounts what a Linux system has, loads modules, runs the test binaries, and
// switches the machine off.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/test/vm/protocol"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: this is for a virtual machine; it would switch yours off")
		os.Exit(1)
	}
	if err := run(); err != nil {
		fmt.Println(protocol.Broken, err)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	if err := mounts(); err != nil {
		return err
	}
	lines, err := readLines("/" + protocol.ModulesFile)
	if err != nil {
		return err
	}
	for _, path := range lines {
		if err := load(path); err != nil {
			return err
		}
	}
	fmt.Println(protocol.Booted)
	tests, err := readLines("/" + protocol.TestsFile)
	if err != nil {
		return err
	}
	for _, test := range tests {
		runTest(test)
	}
	return complaints()
}

func mounts() error {
	for _, m := range []struct{ kind, path string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
		{"cgroup2", "/sys/fs/cgroup"}, {"bpf", "/sys/fs/bpf"},
	} {
		if err := os.MkdirAll(m.path, 0o755); err != nil {
			return err
		}
		err := unix.Mount(m.kind, m.path, m.kind, 0, "")
		if err != nil && !errors.Is(err, unix.EBUSY) { // the kernel mounted /dev
			return fmt.Errorf("mounting %s: %w", m.path, err)
		}
	}
	if err := os.Chmod("/tmp", 0o1777); err != nil {
		return err
	}
	return upLoopback()
}

func upLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("loading %s: %w", path, err)
	}
	return nil
}

// runTest runs one test binary; its line has the binary and its arguments.
func runTest(line string) {
	args := strings.Split(line, "\t")
	name := filepath.Base(args[0])
	fmt.Println(protocol.Begin, name)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/tmp"
	cmd.Env = []string{
		"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp", protocol.EnvLazyModules + "=/" + protocol.LazyDir,
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	start := time.Now()
	err := cmd.Run()
	status := "0"
	if err != nil {
		status = strings.ReplaceAll(err.Error(), " ", "_")
	}
	fmt.Println()
	fmt.Println(protocol.End, name, status, time.Since(start).Round(time.Millisecond))
}

// complaints prints what the kernel complained about: a test that makes it do
// so has not passed.
func complaints() error {
	f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	buffer := make([]byte, 8192)
	for {
		var n int
		var failure error
		_ = raw.Read(func(fd uintptr) bool {
			n, failure = syscall.Read(int(fd), buffer)
			return true
		})
		if failure == syscall.EPIPE { // the oldest ones were overwritten
			continue
		}
		if failure != nil || n <= 0 {
			return nil
		}
		message := string(buffer[:n])
		for _, bad := range []string{"WARNING:", "BUG:", "Oops:", "general protection", "soft lockup"} {
			if strings.Contains(message, bad) {
				fmt.Println(protocol.Complaint, strings.TrimSpace(message))
			}
		}
	}
}

func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if s.Text() != "" {
			lines = append(lines, s.Text())
		}
	}
	return lines, s.Err()
}
