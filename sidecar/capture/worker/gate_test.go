//go:build cgo && customenv

package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheGateIsInPlace(t *testing.T) {
	if err := gateWorks(); err != nil {
		t.Error(err)
	}
}

func TestSocketAddressesAreRead(t *testing.T) {
	inet4 := []byte{unix.AF_INET, 0, 0x1f, 0x90, 169, 254, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0}
	inet6 := append([]byte{unix.AF_INET6, 0, 0x1f, 0x90, 0, 0, 0, 0, 0xfe, 0x80}, make([]byte, 18)...)
	for want, b := range map[string][]byte{"169.254.1.2": inet4, "fe80::": inet6} {
		if a, ok := socketAddress(b); !ok || a.String() != want {
			t.Errorf("%v is %v, want %s", b, a, want)
		}
	}
	for _, b := range [][]byte{nil, {unix.AF_INET}, inet4[:8], inet6[:20], {unix.AF_UNIX, 0, '/', 'x'}} {
		if a, ok := socketAddress(b); ok {
			t.Errorf("%v is %v", b, a)
		}
	}
}
