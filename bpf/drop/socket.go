package drop

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memInfoDrops is SK_MEMINFO_DROPS (include/uapi/linux/sock_diag.h), and the
// values of SO_MEMINFO are 32 bits each.
const (
	memInfoDrops  = 8
	memInfoValues = 9
)

// SocketDrops returns how many datagrams one of the caller's own sockets has
// dropped since it was made. It is what SO_RXQ_OVFL puts beside each datagram,
// but known before the next one comes. No capability is needed.
func SocketDrops(conn syscall.Conn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var values [memInfoValues]uint32
	size := uint32(unsafe.Sizeof(values))
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&values)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, fmt.Errorf("SO_MEMINFO: %w", errno)
	}
	if size <= memInfoDrops*4 {
		return 0, fmt.Errorf("SO_MEMINFO: %d bytes, the drops are behind that", size)
	}
	return values[memInfoDrops], nil
}
