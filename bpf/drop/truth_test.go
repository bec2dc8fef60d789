package drop_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

// family is one of IP's two, with what differs between them.
type family struct {
	name     string
	af       uint16
	loopback netip.Addr
	// counter names a counter of UDP in the kernel's own statistics.
	file, prefix string
}

var families = []family{
	{"IPv4", unix.AF_INET, netip.MustParseAddr("127.0.0.1"), "snmp", "Udp"},
	{"IPv6", unix.AF_INET6, netip.MustParseAddr("::1"), "snmp6", "Udp6"},
}

// snmp reads one of the kernel's counters, as NoPorts, in a namespace.
func (f family) snmp(t *testing.T, ns *nettest.Namespace, counter string) uint64 {
	t.Helper()
	var value uint64
	ns.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/" + f.file)
		if err != nil {
			return err
		}
		value, err = f.find(text, counter)
		return err
	})
	return value
}

func (f family) find(text []byte, counter string) (uint64, error) {
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case f.file == "snmp6" && len(fields) == 2 && fields[0] == f.prefix+counter:
			return strconv.ParseUint(fields[1], 10, 64)
		case f.file == "snmp" && fields[0] == f.prefix+":" && names == nil:
			names = fields
		case f.file == "snmp" && fields[0] == f.prefix+":":
			for i, name := range names {
				if name == counter {
					return strconv.ParseUint(fields[i], 10, 64)
				}
			}
		}
	}
	return 0, fmt.Errorf("%s has no %s%s", f.file, f.prefix, counter)
}

// procUDP reads what /proc/net/udp or udp6 has of a socket: the bytes of memory
// that its queue takes, and its drops.
func procUDP(t *testing.T, ns *nettest.Namespace, f family, port uint16) (queue, drops uint64) {
	t.Helper()
	file := map[string]string{"IPv4": "udp", "IPv6": "udp6"}[f.name]
	ns.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/" + file)
		if err != nil {
			return err
		}
		local := fmt.Appendf(nil, ":%04X ", port)
		for line := range bytes.Lines(text) {
			if fields := strings.Fields(string(line)); bytes.Contains(line, local) && len(fields) > 12 {
				if _, err := fmt.Sscanf(fields[4], "%08X:%08X", new(uint64), &queue); err != nil {
					return err
				}
				drops, err = strconv.ParseUint(fields[12], 10, 64)
				return err
			}
		}
		return fmt.Errorf("%s has no port %d", file, port)
	})
	return queue, drops
}

// listen opens a UDP socket that nobody reads, with a receive buffer of the
// kernel's smallest size if small is set.
func listen(t *testing.T, ns *nettest.Namespace, addr netip.Addr, small bool) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	ns.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	})
	t.Cleanup(func() { conn.Close() })
	if small {
		if err := conn.SetReadBuffer(1); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// drained returns a function that reads what waits in the socket and tells how
// many datagrams it has read in all.
func drained(t *testing.T, conn *net.UDPConn) func() uint64 {
	var total uint64
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 2048)
	return func() uint64 {
		t.Helper()
		var failed error
		err := raw.Control(func(fd uintptr) {
			for failed == nil {
				if _, _, failed = unix.Recvfrom(int(fd), buffer, unix.MSG_DONTWAIT); failed == nil {
					total++
				}
			}
		})
		if err != nil || failed != unix.EAGAIN {
			t.Fatal(err, failed)
		}
		return total
	}
}

func portOf(conn *net.UDPConn) uint16 { return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

// send sends n datagrams. A queue that is full is no error: whether the packet
// was dropped is what is tested.
func send(t *testing.T, ns *nettest.Namespace, to netip.AddrPort, n int, payload func(i int) []byte) netip.AddrPort {
	t.Helper()
	var from netip.AddrPort
	ns.Do(func() error {
		unspecified := netip.IPv4Unspecified()
		if to.Addr().Is6() {
			unspecified = netip.IPv6Unspecified()
		}
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(unspecified, 0)))
		if err != nil {
			return err
		}
		defer conn.Close()
		from = netip.AddrPortFrom(unspecified, portOf(conn))
		for i := range n {
			if _, err := conn.WriteToUDPAddrPort(payload(i), to); err != nil {
				return fmt.Errorf("datagram %d: %w", i, err)
			}
		}
		return nil
	})
	return from
}

func word(int) []byte { return []byte("frame") }

// eventually polls until the kernel has worked through what was sent.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s still not: %s", what)
		}
	}
}

// open opens a probe in the kernel tier; the test is skipped without its
// capabilities.
func open(t testing.TB, o drop.Options) *drop.Probe {
	t.Helper()
	o.MaxTier = bpf.TierKernel
	p, err := drop.Open(o)
	if err != nil {
		needs(t, err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if p.Tier() != bpf.TierKernel {
		needs(t, p.Why())
	}
	return p
}

func needs(t testing.TB, err error) {
	t.Helper()
	var unavailable *bpf.UnavailableError
	if errors.As(err, &unavailable) && len(unavailable.Missing) > 0 {
		t.Skip(err)
	}
	t.Fatal(err)
}

// in is a target: these namespaces.
func in(namespaces ...*nettest.Namespace) bpf.Target {
	var target bpf.Target
	for _, ns := range namespaces {
		target.Netns = append(target.Netns, ns.Inode)
	}
	return target
}

// key is what drops are counted by.
type key struct {
	netns  uint32
	reason string
	family uint16
	proto  uint8
}

// losses are what the probe counted as a loss: of what was sent here, and of the
// kernel's own talk (neighbours, multicast groups), which begins and ends with
// interfaces and finds no route or no room now and then.
func losses(t *testing.T, p *drop.Probe) (sent, talk map[key]uint64) {
	t.Helper()
	sent, talk = map[key]uint64{}, map[key]uint64{}
	counts, err := p.Counts()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		if drop.Classify(c.Reason) != drop.ClassLoss {
			continue
		}
		of := sent
		if c.Family == unix.AF_INET6 && c.Proto == unix.IPPROTO_ICMPV6 {
			of = talk
		}
		of[key{c.Netns, c.Reason, c.Family, c.Proto}] = c.Drops
	}
	return sent, talk
}

// counted waits until the probe has counted so many losses. The kernel counts a
// drop before it frees the packet, which is when the probe sees it.
func counted(t *testing.T, p *drop.Probe, n uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("the probe has counted %d", n), func() bool {
		all, _ := losses(t, p)
		var sum uint64
		for _, n := range all {
			sum += n
		}
		return sum >= n
	})
}

// expect fails the test unless the probe counted exactly these.
func expect(t *testing.T, p *drop.Probe, want ...drop.Count) {
	t.Helper()
	var truth uint64
	for _, w := range want {
		truth += w.Drops
	}
	counted(t, p, truth)
	counted, _ := losses(t, p)
	for _, w := range want {
		k := key{w.Netns, w.Reason, w.Family, w.Proto}
		if counted[k] != w.Drops {
			t.Errorf("%+v: the probe counted %d, the ground truth is %d", k, counted[k], w.Drops)
		}
		delete(counted, k)
	}
	for k, n := range counted {
		t.Errorf("%+v: the probe counted %d, nothing was dropped", k, n)
	}
	stats, err := p.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.LostEvents != 0 || stats.OverflowedDrops != 0 {
		t.Errorf("%+v: nothing should have been missed", stats)
	}
}

// closedPort is a port of loopback, in the process's own namespace, at which
// nobody hears what comes from elsewhere: a socket has it that is connected, so
// that no other program gets it meanwhile.
func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	loopback := net.IPv4(127, 0, 0, 1)
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: loopback}, &net.UDPAddr{IP: loopback, Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(conn))
}

func sendTo(t *testing.T, to netip.AddrPort, n int) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range n {
		if _, err := conn.WriteToUDPAddrPort([]byte("frame"), to); err != nil {
			t.Fatal(err)
		}
	}
}
