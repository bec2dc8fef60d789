package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hide keeps the calling thread, and whatever it starts, from opening what is
// below the paths, and from looking into processes outside, us among them
// (/proc/PID/environ, mem and root), for good. It needs no_new_privs and
// Landlock, but no privilege. Paths need not be there yet.
//
// Landlock has a list of what is allowed, and no exceptions: so each directory
// that leads to a hidden path is replaced by its other entries. What is made
// there later is hidden, too.
func hide(paths []string) error {
	rules, err := newRuleset()
	if err != nil {
		return err
	}
	defer unix.Close(rules.fd)
	w := walk{hidden: map[string]bool{}, leads: map[string]bool{}}
	for _, path := range paths {
		w.add(resolved(path))
	}
	if err := w.allow(rules, "/"); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(rules.fd), 0, 0); errno != 0 {
		return fmt.Errorf("hiding files: landlock_restrict_self: %w", errno)
	}
	return nil
}

// resolved follows the links of that part of a path which is there.
func resolved(path string) string {
	path = filepath.Clean("/" + path)
	for rest := ""; ; {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Join(real, rest)
		}
		if path == "/" {
			return filepath.Join(path, rest)
		}
		rest = filepath.Join(filepath.Base(path), rest)
		path = filepath.Dir(path)
	}
}

// walk is a tree of directories with holes.
type walk struct{ hidden, leads map[string]bool }

func (w walk) add(path string) {
	w.hidden[path] = true
	for dir := path; dir != "/"; {
		dir = filepath.Dir(dir)
		w.leads[dir] = true
	}
}

// allow allows a path, without what is hidden below it.
func (w walk) allow(r *ruleset, path string) error {
	if w.hidden[path] {
		return nil
	}
	if !w.leads[path] {
		return r.allow(path)
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || errors.Is(err, unix.ENOTDIR) {
		return nil // then nothing below it is in reach
	}
	if err != nil {
		return fmt.Errorf("hiding files: %w", err)
	}
	for _, e := range entries {
		if e.Type()&os.ModeSymlink != 0 {
			continue // where it leads to has its own rule
		}
		if err := w.allow(r, filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Rights by which content is read, run or changed, all of Landlock's first
// version (Linux 5.13). The others are left as they are.
const (
	ofFiles = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	all     = ofFiles | unix.LANDLOCK_ACCESS_FS_READ_DIR
)

type ruleset struct{ fd int }

func newRuleset() (*ruleset, error) {
	attr := unix.LandlockRulesetAttr{Access_fs: all}
	// Only the field of the first version: its size says so.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Access_fs), 0)
	switch errno {
	case 0:
		unix.CloseOnExec(int(fd))
		return &ruleset{int(fd)}, nil
	case unix.ENOSYS, unix.EOPNOTSUPP:
		return nil, fmt.Errorf("hiding files: this kernel has no Landlock, or it is off (lsm=landlock,...): %w", errno)
	}
	return nil, fmt.Errorf("hiding files: landlock_create_ruleset: %w", errno)
}

// allow adds a path and all below it.
func (r *ruleset) allow(path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // it went, or is out of reach anyway
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: all, Parent_fd: int32(fd)}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		attr.Allowed_access = ofFiles
	}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 && errno != unix.EBADFD { // which is about files that are no one's to open by path
		return fmt.Errorf("hiding files: allowing %s: %w", path, errno)
	}
	return nil
}
