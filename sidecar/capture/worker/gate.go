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
	if err := source.Reachable(a); err != nil {
		lastRefused.Store(&err)
		return 1
	}
	return 0
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
