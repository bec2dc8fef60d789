package correlate_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/correlate"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
	"github.com/debugsidecar/debugsidecar/bpf/internal/procnet"
	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// Each packet that a real receiver does not get is traced: to the sender's
// shaper, to the receiver's own buffer, or to somebody before both.
func TestEveryPacketThatAReceiverMissesIsTraced(t *testing.T) {
	sender, receiver := nettest.New(t), nettest.New(t)
	nettest.Veth(t, sender, "out0", []string{"10.9.0.1/24"}, receiver, "in0", []string{"10.9.0.2/24"})
	sender.Do(func() error {
		link, err := netlink.LinkByName("out0")
		if err != nil {
			return err
		}
		return netlink.QdiscAdd(&netlink.Tbf{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
			Rate:       50e6 / 8, Limit: 20_000, Buffer: 20_000,
		})
	})
	var conn *net.UDPConn
	receiver.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.9.0.2:5004")))
		return err
	})
	defer conn.Close()
	if err := conn.SetReadBuffer(20_000); err != nil {
		t.Fatal(err)
	}

	// The probes: what they say goes into the tracer.
	drops, err := drop.Open(drop.Options{Detail: true, MaxTier: bpf.TierKernel, Target: bpf.Target{Netns: []uint32{sender.Inode, receiver.Inode}}})
	var unavailable *bpf.UnavailableError
	if errors.As(err, &unavailable) && len(unavailable.Missing) > 0 {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer drops.Close()
	tap, err := rtp.Open(rtp.Options{Netns: receiver.Path(), Ports: []uint16{5004}})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	tracer := correlate.New(correlate.Options{})
	var mu sync.Mutex
	var readers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	readers.Go(func() {
		_ = drops.Events(ctx, func(e drop.Event) {
			mu.Lock()
			defer mu.Unlock()
			tracer.Drop(e)
		})
	})
	readers.Go(func() {
		_ = tap.Gaps(ctx, func(g rtp.Gap) {
			mu.Lock()
			defer mu.Unlock()
			tracer.Gap(correlate.Gap{
				Ktime: g.Ktime, SSRC: g.SSRC, First: g.First, Count: g.Count, Before: g.Before, After: g.After, Filled: g.Filled,
			})
		})
	})

	// Of 200 packets the first 50 pass the shaper, one at a time, and overrun the
	// socket's buffer, as nobody reads; the rest are a burst that overruns the
	// shaper. The sender leaves out every 50th packet itself.
	const packets = 3000
	got := map[uint16]bool{}
	read := func() {
		buffer := make([]byte, 2048)
		for {
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			got[binary.BigEndian.Uint16(buffer[2:n])] = true
		}
	}
	from := clock.Now()
	skipped := map[uint16]bool{}
	sender.Do(func() error {
		out, err := net.Dial("udp", "10.9.0.2:5004")
		if err != nil {
			return err
		}
		defer out.Close()
		b := make([]byte, 1000)
		for i := range uint16(packets) {
			if i%50 == 25 {
				skipped[i] = true
				continue
			}
			b[0], b[1] = 0x80, 96
			binary.BigEndian.PutUint16(b[2:], i)
			binary.BigEndian.PutUint32(b[4:], uint32(i/8*3000))
			binary.BigEndian.PutUint32(b[8:], 7)
			if _, err := out.Write(b); err != nil {
				return err
			}
			switch {
			case i%200 < 50:
				time.Sleep(200 * time.Microsecond)
			case i%200 == 199:
				read()
			}
		}
		return nil
	})
	for quiet := 0; quiet < 5; quiet++ {
		before := len(got)
		if read(); len(got) != before {
			quiet = 0
		}
	}
	// The highest number that came: what was lost after it makes no gap.
	last := uint16(0)
	for seq := range got {
		last = max(last, seq)
	}
	cancel()
	readers.Wait()
	now := clock.Now()
	stats, err := drops.Stats()
	if err != nil || stats.LostEvents != 0 {
		t.Fatalf("%+v, %v", stats, err)
	}
	tracer.Advance(now + clock.Ktime(time.Second))

	// On a busy machine the kernel (6.18) now and then counts datagrams that a full
	// socket refused and does not run the tracepoint for them, nor say that it missed
	// a run. So many may stay unexplained, and no more.
	untold := refused(t, receiver)
	counts, err := drops.Counts()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		if c.Netns == receiver.Inode && c.Reason == "SOCKET_RCVBUFF" {
			untold -= int(c.Drops)
		}
	}

	causes := map[string]int{}
	traced := map[uint16]correlate.Packet{}
	for _, p := range tracer.Between(from, now) {
		traced[p.Seq] = p
		name := p.Cause.String()
		if p.Drop != nil {
			name = p.Drop.Reason
		}
		causes[name]++
	}
	for seq := range uint16(packets) {
		p, lost := traced[seq]
		switch {
		case got[seq] && lost:
			t.Errorf("packet %d came, and is said to be lost: %+v", seq, p)
		case !got[seq] && !lost && seq < last:
			if untold--; untold < 0 {
				t.Errorf("packet %d was lost, and nobody knows", seq)
			} else {
				t.Logf("packet %d was lost, and the kernel told nobody", seq)
			}
		case lost && skipped[seq] != (p.Cause == correlate.Upstream):
			t.Errorf("packet %d: %+v", seq, p)
		case lost && p.Drop != nil && p.From != uint32(seq/8*3000):
			t.Errorf("packet %d is of another frame: %+v", seq, p)
		}
	}
	for _, cause := range []string{"QDISC_DROP", "SOCKET_RCVBUFF", "upstream"} {
		if causes[cause] == 0 {
			t.Errorf("nothing was lost to %s: %v", cause, causes)
		}
	}
	if len(causes) != 3 {
		t.Error(fmt.Sprint(causes))
	}
}

// refused returns how many datagrams full sockets of a namespace refused, as the
// kernel counts them itself.
func refused(t *testing.T, ns *nettest.Namespace) int {
	t.Helper()
	n := 0
	ns.Do(func() error {
		c, err := procnet.OpenCounters("/proc/thread-self/net")
		if err != nil {
			return err
		}
		defer c.Close()
		v4, _, _, err := c.UDP()
		n = int(v4.RcvbufErrors)
		return err
	})
	return n
}
