// Package inroot reads files below another container's root directory. What is in
// there may be hostile: no link leads out of it, and only plain files are opened,
// so that no pipe blocks and no device is touched.
package inroot

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrNotPlain is returned for what is no plain file.
var ErrNotPlain = errors.New("it is no plain file")

// Read returns up to most bytes of a file below a root directory, and whether
// there are more. filesystem, unless 0, is the type that it must be in, since who
// owns the root may mount another one in its place. A file on a network may
// still take for ever.
func Read(root int, path string, most int, filesystem int64) (text []byte, cut bool, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, path, &how)
	if err != nil {
		return nil, false, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, false, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, false, fmt.Errorf("%s: %w", path, ErrNotPlain)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return nil, false, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if filesystem != 0 && fs.Type != filesystem {
		return nil, false, fmt.Errorf("%s: it is on a filesystem of type 0x%x, not 0x%x", path, fs.Type, filesystem)
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, errors.Unwrap(err))
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, int64(most)+1))
	if len(text) > most {
		return text[:most], true, err
	}
	return text, false, err
}
