package drop_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

// collector reads the probe's events in the background, and keeps those that are
// a loss: some kernels also drop the ICMP message that tells of one.
type collector struct {
	t    *testing.T
	end  context.CancelFunc
	done chan error

	mu     sync.Mutex
	events []drop.Event
}

func collect(t *testing.T, p *drop.Probe) *collector {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &collector{t: t, end: cancel, done: make(chan error)}
	go func() {
		c.done <- p.Events(ctx, func(e drop.Event) {
			if drop.Classify(e.Reason) != drop.ClassLoss {
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.events = append(c.events, e)
		})
	}()
	return c
}

func (c *collector) read() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint64(len(c.events))
}

// stop ends the reading and returns the events; before, it waits until there are
// n of them.
func (c *collector) stop(n uint64) []drop.Event {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d events are read", n), func() bool { return c.read() >= n })
	c.end()
	if err := <-c.done; !errors.Is(err, context.Canceled) {
		c.t.Fatalf("Events returned %v", err)
	}
	return c.events
}

// rtpPacket is packet i of an RTP stream: 10 packets a frame.
func rtpPacket(i int) []byte {
	b := make([]byte, 12, 40)
	b[0], b[1] = 0x80, 96
	binary.BigEndian.PutUint16(b[2:], uint16(65_000+i))
	binary.BigEndian.PutUint32(b[4:], uint32(i/10*3000))
	binary.BigEndian.PutUint32(b[8:], 0xcafe)
	return append(b, "payload"...)
}

func TestEventTellsWhichPacket(t *testing.T) {
	const datagrams = 1000
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			ns := nettest.New(t)
			p := open(t, drop.Options{Target: in(ns), Detail: true})
			c := collect(t, p)
			before := clock.Now()
			to := netip.AddrPortFrom(f.loopback, 5004)
			from := send(t, ns, to, datagrams, rtpPacket)
			eventually(t, "all were dropped", func() bool { return f.snmp(t, ns, "NoPorts") == datagrams })
			events := c.stop(datagrams)
			after := clock.Now()
			if len(events) != datagrams {
				t.Fatalf("%d events, %d packets were dropped", len(events), datagrams)
			}
			last := before
			for i, e := range events {
				want := drop.Event{
					Ktime: e.Ktime, Netns: ns.Inode, Reason: "NO_SOCKET", Family: f.af, Proto: unix.IPPROTO_UDP,
					Src: netip.AddrPortFrom(f.loopback, from.Port()), Dst: to, Interface: 1, Len: e.Len,
					RTP: e.RTP,
				}
				if e != want {
					t.Fatalf("event %d is %+v, not %+v", i, e, want)
				}
				if e.Ktime < last || e.Ktime > after {
					t.Fatalf("event %d is of %d, not in [%d, %d]", i, e.Ktime, last, after)
				}
				last = e.Ktime
				header := drop.RTP{SSRC: 0xcafe, Timestamp: uint32(i / 10 * 3000), Seq: uint16(65_000 + i), PayloadType: 96}
				if e.RTP == nil || *e.RTP != header {
					t.Fatalf("event %d has the RTP header %+v, not %+v", i, e.RTP, header)
				}
			}
			expect(t, p, drop.Count{Netns: ns.Inode, Reason: "NO_SOCKET", Family: f.af, Proto: unix.IPPROTO_UDP, Drops: datagrams})
		})
	}
}

// Fragments but the first have no ports; a datagram of another protocol has no
// RTP header.
func TestEventInventsNothing(t *testing.T) {
	ns := nettest.New(t)
	p := open(t, drop.Options{Target: in(ns), Detail: true})
	c := collect(t, p)
	dns := []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01")
	send(t, ns, netip.MustParseAddrPort("127.0.0.1:9"), 1, func(int) []byte { return dns })
	send(t, ns, netip.MustParseAddrPort("127.0.0.1:9"), 1, func(int) []byte { return []byte{0x80} })
	send(t, ns, netip.MustParseAddrPort("127.0.0.1:9"), 1, func(int) []byte { return []byte{0x80, 200, 0, 6, 1, 2, 3, 4, 5, 6, 7, 8} })
	eventually(t, "all were dropped", func() bool { return families[0].snmp(t, ns, "NoPorts") == 3 })
	events := c.stop(3)
	if len(events) != 3 {
		t.Fatalf("%d events, 3 packets were dropped", len(events))
	}
	for _, e := range events {
		if e.RTP != nil {
			t.Errorf("%+v has an RTP header: %+v", e, *e.RTP)
		}
	}
}

func TestLostEventsAreCounted(t *testing.T) {
	const datagrams = 5000
	ns := nettest.New(t)
	p := open(t, drop.Options{Target: in(ns), Detail: true, RingBytes: 4096})
	send(t, ns, netip.MustParseAddrPort("127.0.0.1:9"), datagrams, word) // and nobody reads the ring
	eventually(t, "all were dropped", func() bool { return families[0].snmp(t, ns, "NoPorts") == datagrams })
	c := collect(t, p)
	eventually(t, "each event was read or lost", func() bool {
		stats, err := p.Stats()
		if err != nil {
			t.Fatal(err)
		}
		return c.read()+stats.LostEvents == datagrams
	})
	if read := len(c.stop(0)); read == 0 || read == datagrams {
		t.Errorf("%d of %d were read from a ring that holds some", read, datagrams)
	}
	counts, err := p.Counts()
	if err != nil || len(counts) != 1 || counts[0].Drops != datagrams {
		t.Errorf("counters must not lose anything: %+v, %v", counts, err)
	}
}

func TestEventsEnd(t *testing.T) {
	ns := nettest.New(t)
	p := open(t, drop.Options{Target: in(ns), Detail: true})
	done := make(chan error)
	go func() { done <- p.Events(context.Background(), func(drop.Event) {}) }()
	send(t, ns, netip.MustParseAddrPort("127.0.0.1:9"), 1, word)
	time.Sleep(20 * time.Millisecond) // it blocks in the kernel by now
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("Events of a closed probe returned %v", err)
	}
	if err := p.Events(context.Background(), nil); err == nil {
		t.Error("Events after Close returned nil")
	}
	plain := open(t, drop.Options{Target: in(ns)})
	var unavailable *bpf.UnavailableError
	if err := plain.Events(context.Background(), nil); !errors.As(err, &unavailable) {
		t.Errorf("Events without Detail returned %v", err)
	}
}
