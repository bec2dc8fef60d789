// Package nettest makes network namespaces for tests: unnamed, so that they
// and all in them end with the test's process, however that ends.
package nettest

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/netns"
)

// Namespace is a network namespace of a test. Its loopback is up.
type Namespace struct {
	t    testing.TB
	file *os.File
	// Inode is its inode number, as a BPF program reads it.
	Inode uint32
}

// New makes a network namespace; it goes at the test's end. The test is skipped
// without root.
func New(t testing.TB) *Namespace {
	t.Helper()
	type made struct {
		file *os.File
		err  error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- made{err: err}
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		done <- made{file, err}
	}()
	m := <-done
	if os.IsPermission(m.err) {
		t.Skip("a network namespace needs CAP_SYS_ADMIN")
	}
	if m.err != nil {
		t.Fatalf("making a network namespace: %v", m.err)
	}
	n := &Namespace{t: t, file: m.file}
	t.Cleanup(func() { n.file.Close() })
	var err error
	if n.Inode, err = netns.Inode(n.Path()); err != nil {
		t.Fatal(err)
	}
	n.Do(func() error { return up("lo") })
	return n
}

// Path is where the namespace can be opened, by this process only.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Do runs fn on a thread in the namespace; an error ends the test.
func (n *Namespace) Do(fn func() error) {
	n.t.Helper()
	if err := netns.Do(n.Path(), fn); err != nil {
		n.t.Fatal(err)
	}
}

// Veth joins two namespaces with a pair of virtual Ethernet devices, each named
// as it says, with these addresses (as 10.1.0.1/24, fd00::1/64), both up. Each
// knows the other's hardware address, and duplicate address detection is off, so
// that no packet waits for a neighbour.
func Veth(t testing.TB, a *Namespace, aName string, aAddrs []string, b *Namespace, bName string, bAddrs []string) {
	t.Helper()
	a.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = aName
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: bName, PeerNamespace: netlink.NsFd(int(b.file.Fd())),
		})
	})
	aHardware, bHardware := a.address(aName, aAddrs), b.address(bName, bAddrs)
	a.neighbours(aName, bAddrs, bHardware)
	b.neighbours(bName, aAddrs, aHardware)
	a.untilReady(aName, aAddrs, bAddrs)
	b.untilReady(bName, bAddrs, aAddrs)
}

// untilReady waits until packets pass an interface. The kernel learns a moment
// after both ends are set up that there is a carrier (net/core/link_watch.c), and
// takes an IPv6 address for its own a moment after it was added (addrconf_dad_work
// in net/ipv6/addrconf.c); until then it drops what is sent, without a word.
func (n *Namespace) untilReady(name string, own, peers []string) {
	n.t.Helper()
	n.Do(func() (err error) {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if err = ready(name, own, peers); err == nil {
				break
			}
		}
		return err
	})
}

// ready says what an interface in the caller's namespace lacks.
func ready(name string, own, peers []string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if state := link.Attrs().OperState; state != netlink.OperUp {
		return fmt.Errorf("%s is %v", name, state)
	}
	leads := func(addrs []string, fits func(netlink.Route) bool) error {
		for _, a := range addrs {
			ip, _, err := net.ParseCIDR(a)
			if err != nil {
				return err
			}
			routes, err := netlink.RouteGet(ip)
			if err != nil || len(routes) == 0 || !fits(routes[0]) {
				return fmt.Errorf("the route to %s is %v: %w", a, routes, err)
			}
		}
		return nil
	}
	if err := leads(own, func(r netlink.Route) bool { return r.Type == unix.RTN_LOCAL }); err != nil {
		return err
	}
	return leads(peers, func(r netlink.Route) bool { return r.LinkIndex == link.Attrs().Index })
}

// address sets an interface up with addresses, and returns its hardware address.
func (n *Namespace) address(name string, addrs []string) (hardware net.HardwareAddr) {
	n.t.Helper()
	n.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			ip, ipNet, err := net.ParseCIDR(a)
			if err != nil {
				return err
			}
			addr := &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: ipNet.Mask}, Flags: unix.IFA_F_NODAD}
			if err := netlink.AddrAdd(link, addr); err != nil {
				return fmt.Errorf("address %s: %w", a, err)
			}
		}
		hardware = link.Attrs().HardwareAddr
		return netlink.LinkSetUp(link)
	})
	return hardware
}

func (n *Namespace) neighbours(name string, addrs []string, hardware net.HardwareAddr) {
	n.t.Helper()
	n.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			ip, _, err := net.ParseCIDR(a)
			if err != nil {
				return err
			}
			err = netlink.NeighSet(&netlink.Neigh{
				LinkIndex: link.Attrs().Index, IP: ip, HardwareAddr: hardware, State: netlink.NUD_PERMANENT,
			})
			if err != nil {
				return fmt.Errorf("neighbour %s: %w", a, err)
			}
		}
		return nil
	})
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
