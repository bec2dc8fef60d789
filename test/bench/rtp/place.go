package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/netns"
	"github.com/debugsidecar/debugsidecar/test/bench/streams"
)

var (
	senderAddr   = netip.MustParseAddr("10.99.0.1")
	receiverAddr = netip.MustParseAddr("10.99.0.2")
)

// path is where this process finds a namespace that it has open.
func path(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }

// namespaces makes two network namespaces, joined by a veth pair. They go with
// this process.
func namespaces() (from, to *os.File, err error) {
	if from, err = namespace(); err != nil {
		return nil, nil, err
	}
	if to, err = namespace(); err != nil {
		return from, nil, err
	}
	err = netns.Do(path(from), func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "out"
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "in", PeerNamespace: netlink.NsFd(int(to.Fd()))}
		if err := netlink.LinkAdd(pair); err != nil {
			return fmt.Errorf("a veth pair: %w", err)
		}
		return up("out", senderAddr)
	})
	if err == nil {
		err = netns.Do(path(to), func() error { return up("in", receiverAddr) })
	}
	return from, to, err
}

func namespace() (*os.File, error) {
	var f *os.File
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("a network namespace needs CAP_SYS_ADMIN: %w", err)
			return
		}
		var err error
		f, err = os.Open("/proc/thread-self/ns/net")
		done <- err
	}()
	return f, <-done
}

func up(name string, addr netip.Addr) error {
	device, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	prefix := &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(24, 32)}
	if err := netlink.AddrAdd(device, &netlink.Addr{IPNet: prefix}); err != nil {
		return fmt.Errorf("address of %s: %w", name, err)
	}
	return netlink.LinkSetUp(device)
}

// link is the way from one namespace to the other.
func link(from, to *os.File) (l streams.Link, err error) {
	for _, end := range []struct {
		namespace *os.File
		name      string
		addr      *net.HardwareAddr
	}{{to, "in", &l.To}, {from, "out", &l.From}} {
		err := netns.Do(path(end.namespace), func() error {
			device, err := netlink.LinkByName(end.name)
			if err == nil {
				l.Interface, *end.addr = device.Attrs().Index, device.Attrs().HardwareAddr
			}
			return err
		})
		if err != nil {
			return l, fmt.Errorf("interface %s: %w", end.name, err)
		}
	}
	return l, nil
}
