package drop_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

// What the probe counts is what the kernel's own statistics say: no tolerance.

func TestClosedPortEqualsNoPorts(t *testing.T) {
	const datagrams = 20_000
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			ns := nettest.New(t)
			p := open(t, drop.Options{Target: in(ns)})
			closed := listen(t, ns, f.loopback, false)
			to := netip.AddrPortFrom(f.loopback, portOf(closed))
			closed.Close()
			send(t, ns, to, datagrams, word)
			eventually(t, "NoPorts is 20,000", func() bool { return f.snmp(t, ns, "NoPorts") == datagrams })
			expect(t, p, drop.Count{Netns: ns.Inode, Reason: "NO_SOCKET", Family: f.af, Proto: unix.IPPROTO_UDP, Drops: datagrams})
		})
	}
}

func TestReceiveBufferDropCountsOnce(t *testing.T) {
	const datagrams = 50_000
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			ns := nettest.New(t)
			p := open(t, drop.Options{Target: in(ns)})
			conn := listen(t, ns, f.loopback, true)
			send(t, ns, netip.AddrPortFrom(f.loopback, portOf(conn)), datagrams, word)
			var dropped uint64
			read := drained(t, conn)
			eventually(t, "each datagram was read or dropped", func() bool {
				dropped = f.snmp(t, ns, "RcvbufErrors")
				return read()+dropped == datagrams
			})
			if dropped == 0 {
				t.Fatal("nothing was dropped")
			}
			if _, proc := procUDP(t, ns, f, portOf(conn)); proc != dropped {
				t.Errorf("/proc/net/udp says %d, snmp %d", proc, dropped)
			}
			if own, err := drop.SocketDrops(conn); err != nil || uint64(own) != dropped {
				t.Errorf("the socket says %d (%v), snmp %d", own, err, dropped)
			}
			expect(t, p, drop.Count{Netns: ns.Inode, Reason: "SOCKET_RCVBUFF", Family: f.af, Proto: unix.IPPROTO_UDP, Drops: dropped})
		})
	}
}

// pair is two namespaces, joined: the second has 10.9.0.2 and fd09::2 on in0.
func pair(t *testing.T) (sender, receiver *nettest.Namespace) {
	sender, receiver = nettest.New(t), nettest.New(t)
	nettest.Veth(t, sender, "out0", []string{"10.9.0.1/24", "fd09::1/64"}, receiver, "in0", []string{"10.9.0.2/24", "fd09::2/64"})
	return sender, receiver
}

func TestShapedEgressEqualsQdisc(t *testing.T) {
	const datagrams = 20_000
	for _, to := range []string{"10.9.0.2", "fd09::2"} {
		t.Run(to, func(t *testing.T) {
			sender, receiver := pair(t)
			shape(t, sender, "out0")
			addr := netip.MustParseAddr(to)
			conn := listen(t, receiver, addr, false)
			p := open(t, drop.Options{Target: in(sender)})
			send(t, sender, netip.AddrPortFrom(addr, portOf(conn)), datagrams, func(int) []byte { return make([]byte, 1000) })
			var q netlink.QdiscStatistics
			eventually(t, "the queue is empty", func() bool {
				q = qdisc(t, sender, "out0")
				return q.Queue.Qlen == 0 && uint64(q.Basic.Packets)+uint64(q.Queue.Drops) >= datagrams
			})
			if q.Queue.Drops == 0 {
				t.Fatal("the qdisc dropped nothing")
			}
			family := uint16(unix.AF_INET)
			if addr.Is6() {
				family = unix.AF_INET6
			}
			// The interface's own solicitations go the same way, and find it full, too.
			_, talk := losses(t, p)
			own := talk[key{sender.Inode, "QDISC_DROP", unix.AF_INET6, unix.IPPROTO_ICMPV6}]
			expect(t, p, drop.Count{Netns: sender.Inode, Reason: "QDISC_DROP", Family: family, Proto: unix.IPPROTO_UDP, Drops: uint64(q.Queue.Drops) - own})
		})
	}
}

// shape limits an interface to 10 Mbit/s and a queue of 20 packets or so.
func shape(t *testing.T, ns *nettest.Namespace, name string) {
	t.Helper()
	ns.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		err = netlink.QdiscAdd(&netlink.Tbf{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
			Rate:       10e6 / 8, Limit: 20_000, Buffer: 100_000,
		})
		if err != nil {
			return fmt.Errorf("tbf: %w", err)
		}
		return nil
	})
}

func qdisc(t *testing.T, ns *nettest.Namespace, name string) (q netlink.QdiscStatistics) {
	t.Helper()
	ns.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		all, err := netlink.QdiscList(link)
		if err != nil {
			return err
		}
		for _, q0 := range all {
			if tbf, ok := q0.(*netlink.Tbf); ok {
				q = *tbf.Attrs().Statistics
				return nil
			}
		}
		return fmt.Errorf("%s has no tbf", name)
	})
	return q
}

func TestPolicedIngressEqualsTheProgramThatDrops(t *testing.T) {
	const datagrams = 30_000
	sender, receiver := pair(t)
	dropped := dropEvery100th(t, receiver, "in0")
	to := netip.MustParseAddr("10.9.0.2")
	conn := listen(t, receiver, to, false)
	p := open(t, drop.Options{Target: in(receiver)})
	bystander := open(t, drop.Options{Target: in(sender)})
	send(t, sender, netip.AddrPortFrom(to, portOf(conn)), datagrams, word)
	read, overflowed := drained(t, conn), uint64(0)
	eventually(t, "each datagram was read or dropped", func() bool {
		overflowed = families[0].snmp(t, receiver, "RcvbufErrors")
		return read()+overflowed+dropped() == datagrams
	})
	if dropped() != datagrams/100 {
		t.Fatalf("the program dropped %d", dropped())
	}
	want := []drop.Count{{Netns: receiver.Inode, Reason: "TC_INGRESS", Family: unix.AF_INET, Proto: unix.IPPROTO_UDP, Drops: datagrams / 100}}
	if overflowed > 0 {
		want = append(want, drop.Count{Netns: receiver.Inode, Reason: "SOCKET_RCVBUFF", Family: unix.AF_INET, Proto: unix.IPPROTO_UDP, Drops: overflowed})
	}
	expect(t, p, want...)
	expect(t, bystander) // the packet's own socket was still the sender's
}

// dropEvery100th drops every hundredth IPv4 packet that comes in, through TCX
// or, before Linux 6.6, through a classifier of tc. It returns a function that
// tells how many it dropped.
func dropEvery100th(t *testing.T, ns *nettest.Namespace, name string) func() uint64 {
	t.Helper()
	counters, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { counters.Close() })
	const (
		protocol = 16 // struct __sk_buff
		ipv4     = 0x0008
		pass     = 0 // TCX_PASS, TC_ACT_OK
		shot     = 2 // TCX_DROP, TC_ACT_SHOT
	)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, protocol, asm.Word),
			asm.JNE.Imm(asm.R2, ipv4, "pass"),
			asm.LoadMapValue(asm.R1, counters.FD(), 0),
			asm.Mov.Imm(asm.R2, 1),
			asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 0),
			asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord), // one sender: nobody adds in between
			asm.Mod.Imm(asm.R2, 100),
			asm.JNE.Imm(asm.R2, 0, "pass"),
			asm.Mov.Imm(asm.R2, 1),
			asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 8),
			asm.Mov.Imm(asm.R0, shot),
			asm.Return(),
			asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
			asm.Return(),
		},
	})
	if err != nil {
		t.Fatalf("the program that drops: %v", err)
	}
	t.Cleanup(func() { program.Close() })
	ns.Do(func() error {
		device, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		index := device.Attrs().Index
		l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: program, Attach: ebpf.AttachTCXIngress})
		if err == nil {
			t.Cleanup(func() { l.Close() })
			return nil
		}
		clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		}}
		if err := netlink.QdiscAdd(clsact); err != nil {
			return fmt.Errorf("clsact: %w", err)
		}
		return netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1,
			},
			Fd: program.FD(), Name: "drop", DirectAction: true,
		})
	})
	return func() uint64 {
		t.Helper()
		var seenAndDropped [2]uint64
		if err := counters.Lookup(uint32(0), &seenAndDropped); err != nil {
			t.Fatal(err)
		}
		return seenAndDropped[1]
	}
}

func TestNamespacesAreToldApart(t *testing.T) {
	a, b, other := nettest.New(t), nettest.New(t), nettest.New(t)
	p := open(t, drop.Options{Target: in(a, b)})
	onlyB := open(t, drop.Options{Target: in(b)})
	v4 := families[0]
	full := listen(t, a, v4.loopback, true)
	send(t, a, netip.AddrPortFrom(v4.loopback, portOf(full)), 30_000, word)
	closed := netip.AddrPortFrom(v4.loopback, 9)
	send(t, b, closed, 5_000, word)
	send(t, other, closed, 7_000, word)
	var dropped uint64
	read := drained(t, full)
	eventually(t, "each datagram was read or dropped", func() bool {
		dropped = v4.snmp(t, a, "RcvbufErrors")
		return read()+dropped == 30_000 && v4.snmp(t, b, "NoPorts") == 5_000
	})
	inA := drop.Count{Netns: a.Inode, Reason: "SOCKET_RCVBUFF", Family: unix.AF_INET, Proto: unix.IPPROTO_UDP, Drops: dropped}
	inB := drop.Count{Netns: b.Inode, Reason: "NO_SOCKET", Family: unix.AF_INET, Proto: unix.IPPROTO_UDP, Drops: 5_000}
	expect(t, p, inA, inB)
	expect(t, onlyB, inB)
}

// Across a veth the packet's socket is still the sender's: it must not count
// for the sender's pod.
func TestReceiverIsToldFromSender(t *testing.T) {
	sender, receiver := pair(t)
	ofReceiver := open(t, drop.Options{Target: in(receiver)})
	ofSender := open(t, drop.Options{Target: in(sender)})
	for _, to := range []string{"10.9.0.2", "fd09::2"} {
		conn := listen(t, receiver, netip.MustParseAddr(to), true)
		send(t, sender, netip.AddrPortFrom(netip.MustParseAddr(to), portOf(conn)), 5_000, word)
		f := families[0]
		if netip.MustParseAddr(to).Is6() {
			f = families[1]
		}
		read := drained(t, conn)
		eventually(t, "each datagram was read or dropped", func() bool {
			return read()+f.snmp(t, receiver, "RcvbufErrors") == 5_000
		})
	}
	var want []drop.Count
	for _, f := range families {
		want = append(want, drop.Count{
			Netns: receiver.Inode, Reason: "SOCKET_RCVBUFF", Family: f.af, Proto: unix.IPPROTO_UDP, Drops: f.snmp(t, receiver, "RcvbufErrors"),
		})
	}
	expect(t, ofReceiver, want...)
	expect(t, ofSender)
}

func TestClosingASocketIsNoLoss(t *testing.T) {
	ns := nettest.New(t)
	p := open(t, drop.Options{Target: in(ns)})
	conn := listen(t, ns, families[0].loopback, false)
	to := netip.AddrPortFrom(families[0].loopback, portOf(conn))
	send(t, ns, to, 1, word)
	var one uint64
	eventually(t, "one waits in the socket", func() bool {
		one, _ = procUDP(t, ns, families[0], to.Port())
		return one > 0
	})
	send(t, ns, to, 9, word)
	eventually(t, "ten wait in the socket", func() bool {
		ten, _ := procUDP(t, ns, families[0], to.Port())
		return ten == 10*one
	})
	conn.Close()
	// The kernel frees it a little later. A packet in UDP's queue has neither
	// socket nor device, so whose it was is not known: it counts with the node's.
	eventually(t, "ten counted as noise", func() bool {
		counts, err := p.Counts()
		if err != nil {
			t.Fatal(err)
		}
		stats, err := p.Stats()
		if err != nil {
			t.Fatal(err)
		}
		noise := stats.UnattributedNoise
		for _, c := range counts {
			if drop.Classify(c.Reason) == drop.ClassNoise {
				noise += c.Drops
			}
		}
		return noise >= 10
	})
	expect(t, p) // it fails for any reason of the class loss
}
