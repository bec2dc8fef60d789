package main

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

// The node's address is on device, a cable that leads to its own other end: pods
// have such cables, too, so a kernel that can have pods can have it.
const (
	device   = "node0"
	otherEnd = "nowhere"
)

// network gives the node its address, and a default route: without one, an
// address of a Service is unreachable before kube-proxy's rules can change it.
func network(address string) error {
	a, err := netlink.ParseAddr(address)
	if err != nil {
		return fmt.Errorf("the node's address: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("setting loopback up: %w", err)
	}
	link := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: otherEnd}
	link.Name = device
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("%w: a network interface of type veth: %w", errMissing, err)
	}
	peer, err := netlink.LinkByName(otherEnd)
	if err != nil {
		return fmt.Errorf("finding %s: %w", otherEnd, err)
	}
	if err := netlink.LinkSetUp(peer); err != nil {
		return fmt.Errorf("setting %s up: %w", otherEnd, err)
	}
	if err := netlink.AddrAdd(link, a); err != nil {
		return fmt.Errorf("giving the node its address: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s up: %w", device, err)
	}
	all := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: all, Src: a.IP}); err != nil {
		return fmt.Errorf("adding a default route: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("letting the node route for its pods: %w", err)
	}
	return nil
}
