//go:build cgo && customenv

package main

// #cgo LDFLAGS: -ldl
// int gateIsBound(void);
import "C"

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
)

// gateWorks says whether the C libraries' connections come through gate.c.
func gateWorks() error {
	if C.gateIsBound() == 0 {
		return errors.New("it was linked without its guard of connections; build it by: make worker")
	}
	return nil
}

// lastRefused is why a connection was refused last.
var lastRefused atomic.Pointer[error]

// gateRefuses is asked by gate.c for each address that C code wants to reach.
//
//export gateRefuses
func gateRefuses(address unsafe.Pointer, length C.int) C.int {
	if length < 0 || length > 128 { // sockaddr_storage
		return 1
	}
	a, isIP := socketAddress(unsafe.Slice((*byte)(address), int(length)))
	if !isIP {
		return 0
	}
	err := source.Reachable(a)
	if err == nil && tunnelled.Load() && tunnelEnd.Load() < 0 {
		// The password would go there in the clear.
		err = errLeavesTLS
	}
	if err != nil {
		lastRefused.Store(&err)
		return 1
	}
	return 0
}

// tunnelled says that the source is over TLS: there is one connection, by
// tunnelEnd, which is -1 once that is taken.
var (
	tunnelled atomic.Bool
	tunnelEnd atomic.Int64
)

var errLeavesTLS = errors.New("a second connection, out of TLS")

// throughTunnel makes a file descriptor the one connection of the C libraries.
func throughTunnel(end uintptr) {
	tunnelEnd.Store(int64(end))
	tunnelled.Store(true)
}

// gateTunnel is asked by gate.c what a socket connects to: a file descriptor, or
// the address if it is -1.
//
//export gateTunnel
func gateTunnel(address unsafe.Pointer, length C.int) C.int {
	if !tunnelled.Load() || length < 0 || length > 128 {
		return -1
	}
	if _, isIP := socketAddress(unsafe.Slice((*byte)(address), int(length))); !isIP {
		return -1
	}
	return C.int(tunnelEnd.Swap(-1))
}

// socketAddress reads the IP address of a sockaddr_in or sockaddr_in6.
func socketAddress(b []byte) (netip.Addr, bool) {
	if len(b) < 2 {
		return netip.Addr{}, false
	}
	switch family := binary.NativeEndian.Uint16(b); {
	case family == unix.AF_INET && len(b) >= unix.SizeofSockaddrInet4:
		return netip.AddrFrom4([4]byte(b[4:8])), true
	case family == unix.AF_INET6 && len(b) >= unix.SizeofSockaddrInet6:
		return netip.AddrFrom16([16]byte(b[8:24])), true
	}
	return netip.Addr{}, false
}
