// Package podtest makes for tests what a pod with several containers is to the
// kernel: a PID namespace that they share, and for each a control group and a
// mount namespace of its own. It takes root and a version 2 of control groups.
package podtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Pod is a group of containers. Its processes end with the test.
type Pod struct {
	dir string // of the pod's control group
	pid *os.File
}

// New makes a pod without containers.
func New(t testing.TB) *Pod {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
	mount := cgroup2(t)
	dir, err := os.MkdirTemp(mount, "podtest-")
	if err != nil {
		t.Skipf("control groups can't be made here: %v", err)
	}
	p := &Pod{dir: dir}
	t.Cleanup(func() { p.remove(t) })
	return p
}

// Path is the end of a container's line in /proc/PID/cgroup, unlike that of any
// other pod.
func (p *Pod) Path(group string) string { return filepath.Join("/", filepath.Base(p.dir), group) }

func cgroup2(t testing.TB) string {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); strings.Contains(line, " - cgroup2 ") && fields[3] == "/" {
			return fields[4]
		}
	}
	t.Skip("no control groups of version 2 are mounted")
	return ""
}

func (p *Pod) remove(t testing.TB) {
	_ = os.WriteFile(filepath.Join(p.dir, "cgroup.kill"), []byte("1"), 0)
	if p.pid != nil {
		p.pid.Close()
	}
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		children, _ := filepath.Glob(filepath.Join(p.dir, "*", ""))
		for _, child := range children {
			_ = unix.Rmdir(child) // the files in it are the kernel's
		}
		if err = unix.Rmdir(p.dir); err == nil {
			return
		}
	}
	t.Errorf("the pod's control group stays: %v", err)
}

// Start starts a container's first process, in the control group that is named.
// The first of all is process 1 of the pod. What cmd has of SysProcAttr stays.
func (p *Pod) Start(t testing.TB, group string, cmd *exec.Cmd) {
	t.Helper()
	p.start(t, group, 0, cmd)
}

// Exec starts another process as kubectl exec does: its parent is outside, its
// mounts are those of a process, by its PID here.
func (p *Pod) Exec(t testing.TB, group string, of int, cmd *exec.Cmd) {
	t.Helper()
	p.start(t, group, of, cmd)
}

func (p *Pod) start(t testing.TB, group string, of int, cmd *exec.Cmd) {
	t.Helper()
	dir := filepath.Join(p.dir, group)
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, fd
	if of == 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNS
	}
	if p.pid == nil {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread's children are in the pod
		if p.pid != nil {
			if err := unix.Setns(int(p.pid.Fd()), unix.CLONE_NEWPID); err != nil {
				started <- fmt.Errorf("entering the pod: %w", err)
				return
			}
		}
		if of != 0 {
			if err := join(of); err != nil {
				started <- err
				return
			}
		}
		started <- cmd.Start()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if p.pid == nil {
		if p.pid, err = os.Open(fmt.Sprintf("/proc/%d/ns/pid", cmd.Process.Pid)); err != nil {
			t.Fatal(err)
		}
	}
}

// join takes this thread to a process's mounts.
func join(pid int) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("entering the container's mounts: %w", err)
	}
	return nil
}

// Enter completes a container from inside, before anything else is done: its own
// /proc, and where it is wanted its own view of control groups. It returns with
// the thread locked.
func Enter(cgroupNamespace bool) error {
	runtime.LockOSThread()
	if cgroupNamespace {
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("a namespace of control groups: %w", err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("a /proc: %w", err)
	}
	return nil
}

// Pivot makes a small filesystem, which fill fills, the root directory, with a
// /proc in it, as a container runtime does. Call it instead of Enter.
func Pivot(fill func(dir string) error) error {
	runtime.LockOSThread()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	const dir = "/tmp"
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		return err
	}
	if err := os.Mkdir(dir+"/proc", 0o755); err != nil {
		return err
	}
	if err := fill(dir); err != nil {
		return err
	}
	if err := unix.Mount("proc", dir+"/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err == nil {
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return err
		}
	} else { // an initramfs can't be moved away
		if err := unix.Mount(dir, "/", "", unix.MS_MOVE, ""); err != nil {
			return err
		}
		if err := unix.Chroot("."); err != nil {
			return err
		}
	}
	return unix.Chdir("/")
}
