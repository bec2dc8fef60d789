package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

// tunables are settings of the whole machine that a kubelet sets as it starts.
// In the node's mount namespace, files with these values hide them.
// (kubelet: setupKernelTunables in pkg/kubelet/cm/container_manager_linux.go)
var tunables = map[string]string{
	"kernel/keys/root_maxbytes": "25000000",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
}

// mounts hides the places where the node's programs write whatever they are
// told: sockets of containerd's shims and network namespaces in /run, links to
// logs in /var/log/containers, sockets and state in /var/lib/kubelet and
// /var/lib/cni. Programs and images are read from where they are.
func mounts(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("parting from the machine's mounts: %w", err)
	}
	const flags = syscall.MS_NOSUID | syscall.MS_NODEV
	if err := mount("proc", "/proc", "proc", flags|syscall.MS_NOEXEC, ""); err != nil {
		return err
	}
	place, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer place.Close()
	own, err := os.Open(filepath.Join(dir, "node"))
	if err != nil {
		return err
	}
	defer own.Close()
	upper, work := filepath.Join(own.Name(), "lib"), filepath.Join(own.Name(), "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := needOverlay(); err != nil {
		return err
	}
	for _, m := range []struct{ kind, dir, data string }{
		{"overlay", "/var/lib", "lowerdir=/var/lib,upperdir=" + upper + ",workdir=" + work},
		{"tmpfs", "/run", "mode=755"},
		{"tmpfs", "/var/log", "mode=755"},
	} {
		if err := mount(m.kind, m.dir, m.kind, flags, m.data); err != nil {
			return err
		}
	}
	if err := show(place); err != nil {
		return err
	}
	if err := os.Mkdir(protocol.Short, 0o700); err != nil {
		return err
	}
	if err := bind(own, protocol.Short); err != nil {
		return err
	}
	if err := hideTunables(); err != nil {
		return err
	}
	// Pods may ask for mounts that they share with the node.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing mounts with pods: %w", err)
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", kind, target, err)
	}
	return nil
}

// bind makes an open directory visible at a path.
func bind(dir *os.File, target string) error {
	return mount(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), target, "directory", syscall.MS_BIND|syscall.MS_REC, "")
}

// needOverlay tells whether the kernel has overlayfs. A module is loaded by the
// first mount, so only its absence after that counts.
func needOverlay() error {
	text, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if bytes.Contains(text, []byte("\toverlay\n")) {
		return nil
	}
	err = syscall.Mount("overlay", "/proc", "overlay", 0, "")
	if errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("%w: the kernel has no overlayfs", errMissing)
	}
	return nil
}

// show makes the cluster's directory visible again if it is in a place that was
// hidden, or is there through an overlay, on which containerd can't put another.
func show(place *os.File) error {
	dir := place.Name()
	hidden := false
	for _, over := range []string{"/var/lib/", "/run/", "/var/run/", "/var/log/"} {
		hidden = hidden || strings.HasPrefix(dir+"/", over)
	}
	if !hidden {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return bind(place, dir)
}

func hideTunables() error {
	for name, value := range tunables {
		target := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
			continue
		}
		file := filepath.Join("/run/tunables", strings.ReplaceAll(name, "/", "."))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mount(file, target, "a file", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}
