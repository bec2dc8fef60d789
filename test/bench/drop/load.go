package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// load sends datagrams over loopback to a socket, by system calls alone.
type load struct {
	sender, receiver int
	payload          [64]byte
}

// newLoad returns a load whose receiver has a full buffer, so that the kernel
// drops all that is sent, if full is set.
func newLoad(full bool) (*load, error) {
	l := &load{sender: -1, receiver: -1}
	var err error
	if l.receiver, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	if full {
		if err := unix.SetsockoptInt(l.receiver, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
			return nil, err
		}
	}
	if err := unix.Bind(l.receiver, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	addr, err := unix.Getsockname(l.receiver)
	if err != nil {
		return nil, err
	}
	if l.sender, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	if err := unix.Connect(l.sender, addr); err != nil {
		return nil, err
	}
	if full {
		return l, l.send(fill)
	}
	return l, nil
}

// fill is how many datagrams fill the receiver's buffer, and more.
const fill = 1000

func (l *load) send(n int) error {
	for range n {
		if _, err := unix.Write(l.sender, l.payload[:]); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
	}
	return nil
}

func (l *load) sendAndReceive(n int) error {
	var buffer [64]byte
	for range n {
		if _, err := unix.Write(l.sender, l.payload[:]); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		if _, err := unix.Read(l.receiver, buffer[:]); err != nil {
			return fmt.Errorf("receiving: %w", err)
		}
	}
	return nil
}

// timed returns how long each of n operations took on average, in ns.
func timed(n int, op func(int) error) (float64, error) {
	start := time.Now()
	err := op(n)
	return float64(time.Since(start).Nanoseconds()) / float64(n), err
}

func (l *load) close() {
	unix.Close(l.sender)
	unix.Close(l.receiver)
}
