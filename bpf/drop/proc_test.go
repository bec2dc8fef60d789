package drop_test

import (
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

// openUser opens a probe in the user tier, in a namespace.
func openUser(t *testing.T, ns *nettest.Namespace) *drop.Probe {
	t.Helper()
	var p *drop.Probe
	ns.Do(func() (err error) {
		p, err = drop.Open(drop.Options{MaxTier: bpf.TierUser})
		return err
	})
	t.Cleanup(func() { p.Close() })
	return p
}

// Both tiers count the same, where the user tier counts at all.
func TestUserTierCountsWhatProcDoes(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			ns := nettest.New(t)
			send(t, ns, netip.AddrPortFrom(f.loopback, 9), 100, word) // before it was opened
			user := openUser(t, ns)
			conn := listen(t, ns, f.loopback, true)
			send(t, ns, netip.AddrPortFrom(f.loopback, 9), 2_000, word)
			send(t, ns, netip.AddrPortFrom(f.loopback, portOf(conn)), 3_000, word)
			read := drained(t, conn)
			eventually(t, "each datagram was read or dropped", func() bool {
				return read()+f.snmp(t, ns, "RcvbufErrors") == 3_000 && f.snmp(t, ns, "NoPorts") == 2_100
			})
			want := []drop.Count{
				{Reason: "NO_SOCKET", Family: f.af, Proto: unix.IPPROTO_UDP, Drops: 2_000},
				{Reason: "SOCKET_RCVBUFF", Family: f.af, Proto: unix.IPPROTO_UDP, Drops: f.snmp(t, ns, "RcvbufErrors")},
			}
			expect(t, user, want...)
			sockets, err := user.Sockets()
			if err != nil {
				t.Fatal(err)
			}
			queue, drops := procUDP(t, ns, f, portOf(conn))
			if len(sockets) != 1 || sockets[0].Port != portOf(conn) || sockets[0].Drops != drops || sockets[0].Queue != queue || drops != f.snmp(t, ns, "RcvbufErrors") {
				t.Errorf("%+v: one socket dropped %d", sockets, drops)
			}
			if user.Tier() != bpf.TierUser || !user.Sees("NO_SOCKET") || user.Sees("QDISC_DROP") {
				t.Errorf("tier %v", user.Tier())
			}
			if err := user.Events(t.Context(), nil); err == nil {
				t.Error("it has no events, and says nothing")
			}
		})
	}
}

func TestCrossCheckAgrees(t *testing.T) {
	ns := nettest.New(t)
	var p *drop.Probe
	ns.Do(func() (err error) {
		p, err = drop.Open(drop.Options{})
		return err
	})
	defer p.Close()
	if p.Tier() != bpf.TierKernel {
		t.Skip(p.Why())
	}
	for _, f := range families {
		send(t, ns, netip.AddrPortFrom(f.loopback, 9), 500, word)
		eventually(t, "all were dropped", func() bool { return f.snmp(t, ns, "NoPorts") == 500 })
	}
	counted(t, p, 1000)
	differences, err := p.CrossCheck()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, d := range differences {
		if d.Proc != d.Probe {
			t.Errorf("%+v", d)
		}
		if d.Counter == "UDP.NoPorts" || d.Counter == "UDP6.NoPorts" {
			seen++
			if d.Proc != 500 {
				t.Errorf("%+v: 500 were sent", d)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%+v", differences)
	}
}

// SocketDrops tells what SO_RXQ_OVFL tells with the next datagram.
func TestSocketDropsEqualsOverflowMessage(t *testing.T) {
	ns := nettest.New(t)
	conn := listen(t, ns, families[0].loopback, true)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	_ = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) })
	if failed != nil {
		t.Fatal(failed)
	}
	to := netip.AddrPortFrom(families[0].loopback, portOf(conn))
	send(t, ns, to, 1_000, word)
	read := drained(t, conn)
	eventually(t, "each datagram was read or dropped", func() bool {
		return read()+families[0].snmp(t, ns, "RcvbufErrors") == 1_000
	})
	dropped, err := drop.SocketDrops(conn)
	if err != nil || dropped == 0 {
		t.Fatalf("%d, %v", dropped, err)
	}
	send(t, ns, to, 1, word)
	control := make([]byte, 64)
	_, n, _, _, err := conn.ReadMsgUDPAddrPort(make([]byte, 64), control)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 || messages[0].Header.Type != unix.SO_RXQ_OVFL {
		t.Fatalf("%+v, %v", messages, err)
	}
	if told := *(*uint32)(unsafe.Pointer(&messages[0].Data[0])); told != dropped {
		t.Errorf("SO_MEMINFO says %d, SO_RXQ_OVFL %d", dropped, told)
	}
}
