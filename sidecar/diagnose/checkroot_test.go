package diagnose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Roots of a node with ext4, and of two containers on it.
func roots() (node, own, other Root) {
	node = Root{MountID: 27, Device: "254:0", Inode: 2, FSID: "a1", Filesystem: "ext4", MountRoot: true, MountNamespace: 4026531841}
	own = Root{MountID: 900, Device: "0:71", Inode: 555, FSID: "b2", Filesystem: "overlay", MountRoot: true, MountNamespace: 4026532701}
	other = Root{MountID: 950, Device: "0:80", Inode: 777, FSID: "c3", Filesystem: "overlay", MountRoot: true, MountNamespace: 4026532805}
	return node, own, other
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(target, node *Root)
		hidden bool // the node's root
		want   Verdict
		says   string
	}{
		{"another container", func(_, _ *Root) {}, false, ContainerRoot, "neither ours nor the node's"},
		{"another container, the node hidden", func(_, _ *Root) {}, true, ContainerRoot, "hostPID"},
		{"on the node's filesystem", func(r, n *Root) { r.Device, r.FSID = n.Device, n.FSID }, false, ContainerRoot, "on the node's filesystem"},
		{"the node", func(r, n *Root) { *r = *n }, false, NodeRoot, "the node's root directory"},
		{"the node in another mount namespace", func(r, n *Root) { *r = *n; r.MountID, r.MountNamespace = 1000, 4026532999 }, false, NodeRoot, "a second time"},
		{"chroot on the node", func(r, n *Root) { *r = *n; r.Inode = 99 }, false, NodeRoot, "chroot"},
		{"chroot on the node to a mount", func(r, n *Root) { r.MountNamespace = n.MountNamespace }, false, NodeRoot, "chroot"},
		{"the node's mount namespace by its number", func(r, _ *Root) { r.MountNamespace = initialMountNamespace }, true, NodeRoot, "chroot"},
		{"chroot in a container", func(r, _ *Root) { r.MountRoot = false }, false, Directory, "chroot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			node, own, target := roots()
			c.change(&target, &node)
			seen := &node
			if c.hidden {
				seen = nil
			}
			if got, why := judge(&target, &own, seen); got != c.want || !strings.Contains(why, c.says) {
				t.Errorf("%s (%s), not %s with %q", got, why, c.want, c.says)
			}
		})
	}
	node, own, _ := roots()
	for _, seen := range []*Root{&node, nil} {
		if got, _ := judge(&own, &own, seen); got != OwnRoot {
			t.Errorf("our own root is %s", got)
		}
		chroot := own
		chroot.Inode, chroot.MountRoot = 3, false
		if got, _ := judge(&chroot, &own, seen); got != Directory {
			t.Errorf("a directory of ours is %s", got)
		}
	}
	if got, _ := judge(&node, &node, &node); got != NodeRoot {
		t.Errorf("the node's root, seen from the node, is %s", got)
	}
}

// container makes this process what a container runtime does: a mount
// namespace, and pivot_root to a filesystem of its own.
func container(fill func(dir string) error) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private: %w", err)
	}
	dir := "/tmp"
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	for _, name := range []string{"proc", "etc", "inner/etc"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	if err := fill(dir); err != nil {
		return err
	}
	return enter(dir)
}

// enter makes a mount the root directory.
func enter(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	switch err := unix.PivotRoot(".", "."); {
	case err == nil:
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting the old root: %w", err)
		}
	case errors.Is(err, unix.EINVAL): // the old root is an initramfs, which can't be moved away
		if err := unix.Mount(dir, "/", "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving the mount: %w", err)
		}
		if err := unix.Chroot("."); err != nil {
			return err
		}
	default:
		return fmt.Errorf("pivot_root: %w", err)
	}
	return unix.Chdir("/")
}

func plainRelease(dir string) error {
	return os.WriteFile(dir+"/etc/os-release", []byte("NAME=x\nPRETTY_NAME=\"Test \x1b[31mOS\"\n"), 0o644)
}

func init() {
	programs["container"] = func() error {
		if err := container(plainRelease); err != nil {
			return err
		}
		return up()
	}
	programs["chroot in a container"] = func() error {
		if err := container(plainRelease); err != nil {
			return err
		}
		if err := unix.Chroot("/inner"); err != nil {
			return err
		}
		return up()
	}
	programs["chroot on the node"] = func() error {
		if err := unix.Chroot("/dev"); err != nil {
			return err
		}
		return up()
	}
	programs["the node bound elsewhere"] = func() error {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		const dir = "/sys" // a directory that is there
		if err := unix.Mount("/", dir, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		if err := enter(dir); err != nil {
			return err
		}
		return up()
	}
	programs["plain"] = up
	// Hostile roots: none may show what is outside, or block.
	hostile := map[string]func(dir string) error{
		"link out":      func(dir string) error { return os.Symlink("../../../../../../"+secret(), dir+"/etc/os-release") },
		"absolute link": func(dir string) error { return os.Symlink(secret(), dir+"/etc/os-release") },
		"link to a link": func(dir string) error {
			if err := os.Symlink("/proc/1/root"+secret(), dir+"/etc/a"); err != nil {
				return err
			}
			return os.Symlink("a", dir+"/etc/os-release")
		},
		"pipe": func(dir string) error { return unix.Mkfifo(dir+"/etc/os-release", 0o644) },
		"device": func(dir string) error {
			return unix.Mknod(dir+"/etc/os-release", unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5)))
		},
		"large": func(dir string) error {
			return os.WriteFile(dir+"/etc/os-release", bytes.Repeat([]byte("PRETTY_NAM="), 50_000), 0o644)
		},
	}
	for name, fill := range hostile {
		programs[name] = func() error {
			if err := container(func(dir string) error {
				if err := fill(dir); err != nil {
					return err
				}
				// A proc within, so that its links could be followed.
				return unix.Mount("/proc", dir+"/proc", "", unix.MS_BIND|unix.MS_REC, "")
			}); err != nil {
				return err
			}
			return up()
		}
	}
	// A container's own view: another PID namespace, too.
	programs["inside"] = func() error {
		if err := container(func(dir string) error {
			return unix.Mount("proc", dir+"/proc", "proc", 0, "")
		}); err != nil {
			return err
		}
		r, err := CheckRoot("1")
		if err != nil {
			return err
		}
		return r.write(os.Stdout, true)
	}
}

// secret is a file outside of every container here.
func secret() string { return os.Getenv("DIAGNOSE_TEST_SECRET") }

func TestRealRootsAreJudged(t *testing.T) {
	root(t)
	mounts := syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	for _, c := range []struct {
		name       string
		attributes syscall.SysProcAttr
		want       Verdict
	}{
		{"container", mounts, ContainerRoot},
		{"chroot in a container", mounts, Directory},
		{"chroot on the node", syscall.SysProcAttr{}, NodeRoot},
		{"the node bound elsewhere", mounts, NodeRoot},
		{"plain", syscall.SysProcAttr{}, NodeRoot},
		{"plain", mounts, NodeRoot},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := begin(t, c.attributes, c.name)
			if line := p.line(t); line != "up" {
				t.Fatal(line)
			}
			r, err := CheckRoot(strconv.Itoa(p.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			if r.Node == nil && want == NodeRoot {
				t.Skipf("the node's root can't be seen from here: %+v", r)
			}
			if r.Verdict != want || r.ContainerRoot != (want == ContainerRoot) {
				t.Errorf("%s: %s; %+v", r.Verdict, r.Reason, r.Root)
			}
			if c.name == "container" && r.OS != "Test [31mOS" {
				t.Errorf("os-release says %q", r.OS)
			}
			// mountinfo of the process has that mount at /.
			mountinfo, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", p.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains("\n"+string(mountinfo), fmt.Sprintf("\n%d ", r.Root.MountID)) && r.Root.MountRoot {
				t.Errorf("mount %d is not in\n%s", r.Root.MountID, mountinfo)
			}
		})
	}
}

func TestHostileRootsShowNothingFromOutside(t *testing.T) {
	root(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("PRETTY_NAME=stolen\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DIAGNOSE_TEST_SECRET", file)
	for _, name := range []string{"link out", "absolute link", "link to a link", "pipe", "device", "large"} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, name)
			if line := p.line(t); line != "up" {
				t.Fatal(line)
			}
			r, err := CheckRoot(strconv.Itoa(p.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != ContainerRoot || r.OS != "" {
				t.Errorf("%s, os %q", r.Verdict, r.OS)
			}
		})
	}
}

func TestFromInsideTheNodeIsHidden(t *testing.T) {
	root(t)
	p := begin(t, syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}, "inside")
	var r RootReport
	if text := p.rest(); json.Unmarshal([]byte(text), &r) != nil {
		t.Fatal(text)
	}
	if r.Verdict != OwnRoot || r.Node != nil || r.ContainerRoot {
		t.Errorf("%+v", r)
	}
}

func TestCheckRootSaysWhyItCantTell(t *testing.T) {
	for pid, want := range map[string]string{
		"4194999": "there is none in this PID namespace", "x": "not a process id", "-1": "not a process id", "0": "not a process id",
		"self": "not a process id", "1/../1": "not a process id", "1/root": "not a process id",
	} {
		if _, err := CheckRoot(pid); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", pid, err)
		}
	}
}

func TestCheckRootsStatusAndTable(t *testing.T) {
	root(t)
	p := begin(t, syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, "container")
	if line := p.line(t); line != "up" {
		t.Fatal(line)
	}
	c := CheckRootCommand()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetArgs([]string{strconv.Itoa(p.Process.Pid)})
	if err := c.Execute(); err != nil || !strings.Contains(out.String(), "is a container's root: yes") {
		t.Errorf("%v\n%s", err, out.String())
	}
	out.Reset()
	c.SilenceUsage, c.SilenceErrors = true, true
	c.SetArgs([]string{strconv.Itoa(os.Getpid())})
	if err := c.Execute(); err != notAContainer || !strings.Contains(out.String(), "is a container's root: NO") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
