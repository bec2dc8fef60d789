// Package netns names network namespaces and enters them. A network namespace
// is known by its inode number, the one that `readlink /proc/PID/ns/net` shows:
// the kernel has it in struct net, so a BPF program can read it from a packet.
package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Self returns the inode number of the calling thread's network namespace.
func Self() (uint32, error) { return Inode("/proc/thread-self/ns/net") }

// PathOf returns where /proc has the network namespace of a process.
func PathOf(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/ns/net" }

// Inode returns the inode number of the network namespace at a path, as
// /proc/PID/ns/net or /run/netns/NAME.
func Inode(path string) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("network namespace %s: %w", path, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, fmt.Errorf("network namespace %s: %w", path, err)
	}
	if fs.Type != unix.NSFS_MAGIC {
		return 0, fmt.Errorf("network namespace %s: not a namespace", path)
	}
	return uint32(st.Ino), nil
}

// IsHost says whether the calling thread is in the initial network namespace,
// the node's. The kernel shows the sysctls of its whole network stack there and
// nowhere else (net/core/sysctl_net_core.c registers them for init_net alone).
func IsHost() bool {
	_, err := os.Stat("/proc/sys/net/core/netdev_budget")
	return err == nil
}

// Do runs fn on a thread that is in the network namespace at path, and waits
// for it. Sockets and netlink handles that fn opens stay in that namespace.
// It needs CAP_SYS_ADMIN, unless the thread is in that namespace already.
func Do(path string, fn func() error) error {
	inode, err := Inode(path)
	if err != nil {
		return err
	}
	if self, err := Self(); err == nil && self == inode {
		return fn()
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer f.Close()
	done := make(chan error, 1)
	go func() {
		// Unlocked only on its way back, so nobody else ever finds himself in
		// this namespace: a locked thread ends with its goroutine. The process's
		// first thread never ends, and would hold the namespace.
		runtime.LockOSThread()
		own, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- fmt.Errorf("network namespace: %w", err)
			return
		}
		defer own.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			if errors.Is(err, unix.EPERM) {
				err = errors.New("needs CAP_SYS_ADMIN")
			}
			done <- fmt.Errorf("entering network namespace %s: %w", path, err)
			return
		}
		err = fn()
		if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
