package wire

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// NewSocket makes the pair: the parent's end, and the file that becomes the
// child's.
func NewSocket() (*net.UnixConn, *os.File, error) {
	// SOCK_SEQPACKET keeps messages apart, and tells of the other end's death.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket to the capture child: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "orders")
	ours, err := OpenSocket(os.NewFile(uintptr(pair[0]), "reports"))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// OpenSocket takes over the file of one end.
func OpenSocket(file *os.File) (*net.UnixConn, error) {
	conn, err := net.FileConn(file) // it has a descriptor of its own
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("socket of the capture child: %w", err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the socket of the capture child is a %T", conn), conn.Close())
	}
	return unixConn, nil
}
