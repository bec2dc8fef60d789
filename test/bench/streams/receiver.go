package streams

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receiver reads and counts what comes to one port, whatever it is.
type Receiver struct {
	socket  int
	packets atomic.Uint64
	closing atomic.Bool
	done    chan error
}

const (
	receiveBatch  = 64
	receiveBuffer = 64 << 20
)

// NewReceiver reads from the address in the network namespace of the calling
// thread, until Close.
func NewReceiver(at netip.AddrPort) (*Receiver, error) {
	family, addr := sockaddr(at)
	socket, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		return nil, errors.Join(fmt.Errorf("receive buffer: %w", err), unix.Close(socket))
	}
	// Close is seen by the next read that times out.
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		return nil, errors.Join(fmt.Errorf("receive timeout: %w", err), unix.Close(socket))
	}
	if err := unix.Bind(socket, addr); err != nil {
		return nil, errors.Join(fmt.Errorf("%v: %w", at, err), unix.Close(socket))
	}
	r := &Receiver{socket: socket, done: make(chan error, 1)}
	go func() { r.done <- r.read() }()
	return r, nil
}

// Packets returns how many were read.
func (r *Receiver) Packets() uint64 { return r.packets.Load() }

// Close ends the reading. Once only.
func (r *Receiver) Close() error {
	r.closing.Store(true)
	return errors.Join(<-r.done, unix.Close(r.socket))
}

func (r *Receiver) read() error {
	runtime.LockOSThread()
	var buffers [receiveBatch][16]byte // the rest of a packet is cut off
	var vectors [receiveBatch]unix.Iovec
	var messages [receiveBatch]message
	for i := range messages {
		vectors[i].Base = &buffers[i][0]
		vectors[i].SetLen(len(buffers[i]))
		messages[i].Iov = &vectors[i]
		messages[i].SetIovlen(1)
	}
	for !r.closing.Load() {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.socket), uintptr(unsafe.Pointer(&messages[0])),
			receiveBatch, unix.MSG_WAITFORONE, 0, 0)
		switch errno {
		case 0:
			r.packets.Add(uint64(n))
		case unix.EINTR, unix.EAGAIN:
		default:
			return fmt.Errorf("receiving: %w", errno)
		}
	}
	return nil
}
