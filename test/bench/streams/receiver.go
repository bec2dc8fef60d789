package streams

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receiver is a socket that counts what comes to one port. Nothing is read: a
// filter refuses each packet when it is about to be queued, and the socket
// counts that. To read and copy all would cost more than to send it.
type Receiver struct {
	socket int
	last   uint32
	total  uint64
}

// NewReceiver receives at the address in the network namespace of the calling
// thread, until Close.
func NewReceiver(at netip.AddrPort) (*Receiver, error) {
	family, addr := sockaddr(at)
	socket, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	refuse := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	filter := unix.SockFprog{Len: 1, Filter: &refuse}
	if err := unix.SetsockoptSockFprog(socket, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter); err != nil {
		return nil, errors.Join(fmt.Errorf("filter of a receiver: %w", err), unix.Close(socket))
	}
	if err := unix.Bind(socket, addr); err != nil {
		return nil, errors.Join(fmt.Errorf("%v: %w", at, err), unix.Close(socket))
	}
	return &Receiver{socket: socket}, nil
}

// Packets returns how many came. One caller at a time, and often enough that
// the kernel's 32 bits do not wrap unseen.
func (r *Receiver) Packets() (uint64, error) {
	const drops = 8              // SK_MEMINFO_DROPS (include/uapi/linux/sock_diag.h)
	var values [drops + 1]uint32 // SO_MEMINFO's
	size := uint32(unsafe.Sizeof(values))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(r.socket), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&values)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("what a receiver counted: %w", errno)
	}
	r.total += uint64(values[drops] - r.last)
	r.last = values[drops]
	return r.total, nil
}

// Close closes the socket. Once only.
func (r *Receiver) Close() error { return unix.Close(r.socket) }
