package diagnose

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Root is the root directory of a process, as the kernel knows it.
type Root struct {
	// MountID is the mount's number, the first one in its line of mountinfo.
	MountID uint64 `json:"mountID"`
	// Device and Inode name the directory in its filesystem; FSID is statfs', which
	// tells filesystems of one device apart.
	Device string `json:"device"`
	Inode  uint64 `json:"inode"`
	FSID   string `json:"fsid"`
	// Filesystem is its type: overlay, ext4.
	Filesystem string `json:"filesystem"`
	// MountRoot says whether it is the top of its mount, as a container's root is
	// and a chroot into a directory is not.
	MountRoot bool `json:"mountRoot"`
	// MountNamespace is the inode number of the process's.
	MountNamespace uint64 `json:"mountNamespace"`
}

// same says whether two roots are one directory, however it is mounted.
func (r *Root) same(other *Root) bool {
	return other != nil && r.Device == other.Device && r.Inode == other.Inode && r.FSID == other.FSID
}

// process is a process that was opened: its files in /proc never become those
// of another one that gets the same number.
type process struct{ dir int }

// openProcess opens /proc/PID, and nothing but procfs.
func openProcess(pid string) (*process, error) {
	if n, err := strconv.Atoi(pid); pid != "self" && (err != nil || n < 1) {
		return nil, fmt.Errorf("%q is not a process id", pid)
	}
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /proc: %w", err)
	}
	defer unix.Close(proc)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(proc, &fs); err != nil || fs.Type != unix.PROC_SUPER_MAGIC {
		return nil, errors.New("/proc is not a procfs: mount one, or nothing can be told")
	}
	if pid == "self" {
		pid = strconv.Itoa(os.Getpid())
	}
	dir, err := unix.Openat2(proc, pid, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("process %s: there is none in this PID namespace", pid)
	case err != nil:
		return nil, fmt.Errorf("process %s: %w", pid, err)
	}
	return &process{dir}, nil
}

func (p *process) close() { _ = unix.Close(p.dir) }

// namespace returns the inode number of one of the process's namespaces.
func (p *process) namespace(kind string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(p.dir, "ns/"+kind, &st, 0); err != nil {
		return 0, explained(err)
	}
	return st.Ino, nil
}

// openRoot opens the process's root directory without any right to read it.
func (p *process) openRoot() (fd int, err error) {
	fd, err = unix.Openat(p.dir, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, explained(err)
	}
	return fd, nil
}

// explained says what to do about an error of looking into another process.
func explained(err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: it takes the process's own user and at least its capabilities, or CAP_SYS_PTRACE", err)
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENOENT):
		return errors.New("the process has ended")
	}
	return err
}

// root returns what the kernel knows of the process's root directory.
func (p *process) root() (*Root, error) {
	fd, err := p.openRoot()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return describe(fd, p)
}

func describe(fd int, p *process) (*Root, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st)
	if err != nil {
		return nil, fmt.Errorf("statx: %w", err)
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return nil, errors.New("this kernel does not tell mount ids: Linux 5.8 or newer does")
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return nil, fmt.Errorf("statfs: %w", err)
	}
	ns, err := p.namespace("mnt")
	if err != nil {
		return nil, err
	}
	return &Root{
		MountID: st.Mnt_id, Device: fmt.Sprintf("%d:%d", st.Dev_major, st.Dev_minor), Inode: st.Ino,
		FSID:       fmt.Sprintf("%08x%08x", uint32(fs.Fsid.Val[0]), uint32(fs.Fsid.Val[1])),
		Filesystem: filesystem(fs.Type), MountRoot: st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
		MountNamespace: ns,
	}, nil
}

// filesystem names the types that roots have.
func filesystem(magic int64) string {
	names := map[int64]string{
		unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs", unix.SQUASHFS_MAGIC: "squashfs",
		unix.EROFS_SUPER_MAGIC_V1: "erofs", unix.RAMFS_MAGIC: "ramfs", unix.NFS_SUPER_MAGIC: "nfs",
		unix.FUSE_SUPER_MAGIC: "fuse", unix.V9FS_MAGIC: "9p", 0x2fc12fc1: "zfs",
	}
	if name, ok := names[magic]; ok {
		return name
	}
	return fmt.Sprintf("type 0x%x", magic)
}
