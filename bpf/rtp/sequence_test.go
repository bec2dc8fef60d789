package rtp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// packet is an RTP packet with nothing in it but what counts.
func packet(ssrc uint32, seq uint16, timestamp uint32) []byte {
	b := make([]byte, 40)
	b[0], b[1] = 0x80, 96
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

// one sends packets to a tap and returns the only flow that it has.
func one(t *testing.T, tap *rtp.Tap, conn *net.UDPConn, r *receiver, packets [][]byte) rtp.Flow {
	t.Helper()
	restore := onOneProcessor(t)
	for _, p := range packets {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	flushed(t, conn, r)
	restore()
	flows, err := tap.Flows()
	if err != nil {
		t.Fatal(err)
	}
	if len(flows) != 1 {
		t.Fatalf("%d flows: %+v", len(flows), flows)
	}
	return flows[0]
}

func TestSequences(t *testing.T) {
	run := func(from, n int) (seqs []int) {
		for i := range n {
			seqs = append(seqs, from+i)
		}
		return seqs
	}
	join := func(parts ...[]int) (all []int) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, test := range []struct {
		name string
		seqs []int // modulo 65536
		want rtp.Flow
	}{
		{"wraps", run(65_530, 20), rtp.Flow{Packets: 20}},
		{"loses the packet at the wrap", join(run(65_526, 10), run(65_537, 10)), rtp.Flow{Packets: 20, Lost: 1, Gaps: 1}},
		{"is overtaken at the start", join([]int{102, 101, 100}, run(103, 10)), rtp.Flow{Packets: 13, Reordered: 2}},
		{"comes twice", join(run(0, 10), run(5, 5), run(10, 5)), rtp.Flow{Packets: 20, Duplicates: 5}},
		{"fills a gap", join(run(0, 10), run(12, 5), []int{10}, run(17, 5)), rtp.Flow{Packets: 21, Lost: 1, Gaps: 1, Reordered: 1}},
		{"jumps within reach", join(run(0, 10), run(2_000, 10)), rtp.Flow{Packets: 20, Lost: 1_990, Gaps: 1}},
		{"starts anew", join(run(0, 10), run(40_000, 10)), rtp.Flow{Packets: 20, Restarts: 1}},
		{"starts anew with a loss before", join(run(0, 5), run(6, 5), run(30_000, 10)), rtp.Flow{Packets: 20, Lost: 1, Gaps: 1, Restarts: 1}},
		{"has an outlier", join(run(0, 10), []int{50_000}, run(10, 10)), rtp.Flow{Packets: 21, Outliers: 1}},
		{"comes far too late", join(run(0, 10), run(1_000, 10), []int{3}, run(1_010, 5)), rtp.Flow{Packets: 26, Lost: 990, Gaps: 1, Outliers: 1}},
		{"comes just in time", join(run(0, 10), run(500, 10), []int{10}), rtp.Flow{Packets: 21, Lost: 489, Gaps: 1, Reordered: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sender, receiver := pair(t)
			r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
			tap := open(t, rtp.Options{Netns: receiver.Path(), Ports: []uint16{r.addr().Port()}})
			var packets [][]byte
			for _, seq := range test.seqs {
				packets = append(packets, packet(7, uint16(seq), 0))
			}
			f := one(t, tap, dial(t, sender, r.addr()), r, packets)
			got := rtp.Flow{
				Packets: f.Packets, Lost: f.Lost, Gaps: f.Gaps, Reordered: f.Reordered, Duplicates: f.Duplicates,
				Outliers: f.Outliers, Restarts: f.Restarts,
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestFramesAreTimestamps(t *testing.T) {
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
	tap := open(t, rtp.Options{Netns: receiver.Path()})
	// The timestamp wraps, and packets of neighbouring frames are mixed.
	var packets [][]byte
	for i := range 100 {
		frame := uint32(i / 10)
		if i%10 == 9 && i < 99 {
			frame++
		} else if i%10 == 0 && i > 0 {
			frame--
		}
		packets = append(packets, packet(7, uint16(i), 4294958296+frame*3000))
	}
	if f := one(t, tap, dial(t, sender, r.addr()), r, packets); f.Frames != 10 || f.Markers != 0 || f.Lost != 0 {
		t.Errorf("%+v, 10 frames were sent", f)
	}
}

// A packet of the kernel that holds several of the wire is no loss.
func TestSegmentsAreCountedEach(t *testing.T) {
	for _, mode := range modes {
		for _, to := range []string{"10.9.0.2", "fd09::2"} {
			t.Run(mode.String()+"/"+to, func(t *testing.T) {
				sender, receiver := pair(t)
				r := newReceiver(t, receiver, netip.MustParseAddr(to))
				tap := open(t, rtp.Options{Netns: receiver.Path(), Mode: mode})
				atSender := open(t, rtp.Options{Netns: sender.Path(), Mode: mode})
				conn := dial(t, sender, r.addr())
				raw, err := conn.SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				s := video(rand.New(rand.NewPCG(4, 4)), 9, 600, impaired)
				size := len(s.packets[0])
				var failed error
				_ = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) })
				if failed != nil {
					t.Fatal(failed)
				}
				restore := onOneProcessor(t)
				for rest := s.packets; len(rest) > 0; {
					n := min(len(rest), 1+len(rest)%40)
					var batch []byte
					for _, p := range rest[:n] {
						batch = append(batch, p...)
					}
					if _, err := conn.Write(batch); err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				restore()
				r.read(len(s.packets))
				compare(t, tap, r, rtp.Ingress)
				compare(t, atSender, r, rtp.Egress)
			})
		}
	}
}

func TestGapsAreReported(t *testing.T) {
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
	tap := open(t, rtp.Options{Netns: receiver.Path()})
	var gaps []rtp.Gap
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tap.Gaps(ctx, func(g rtp.Gap) { gaps = append(gaps, g) }) }()
	conn := dial(t, sender, r.addr())
	var packets [][]byte
	for seq := range 300 {
		if seq == 100 || seq >= 200 && seq < 203 {
			continue
		}
		packets = append(packets, packet(7, uint16(seq), uint32(seq/10*3000)))
	}
	f := one(t, tap, conn, r, packets)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if len(gaps) != 2 || f.Gaps != 2 || f.Lost != 4 {
		t.Fatalf("%+v of %+v", gaps, f)
	}
	for i, want := range []rtp.Gap{
		{First: 100, Count: 1, Before: 27_000, After: 30_000},
		{First: 200, Count: 3, Before: 57_000, After: 60_000},
	} {
		want.Ktime, want.SSRC, want.Src, want.Dst, want.Interface = gaps[i].Ktime, f.SSRC, f.Src, f.Dst, f.Interface
		if gaps[i] != want || want.Ktime < f.First || want.Ktime > f.Last {
			t.Errorf("got %+v, want %+v", gaps[i], want)
		}
	}
}

// A packet on loopback is one packet.
func TestLoopbackCountsOnce(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			_, ns := pair(t)
			r := newReceiver(t, ns, netip.MustParseAddr("127.0.0.1"))
			tap := open(t, rtp.Options{Netns: ns.Path(), Mode: mode})
			s := video(rand.New(rand.NewPCG(5, 5)), 9, 200, impairment{})
			r.read(sendAll(t, []*net.UDPConn{dial(t, ns, r.addr())}, []stream{s}, nil))
			compare(t, tap, r, rtp.Ingress)
		})
	}
}

func TestClockTiesTimestampsToTheKernels(t *testing.T) {
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
	tap := open(t, rtp.Options{Netns: receiver.Path(), ClockRates: map[uint8]uint32{96: 48000}, Ports: []uint16{r.addr().Port()}})
	f := one(t, tap, dial(t, sender, r.addr()), r, [][]byte{packet(7, 1, 0), packet(7, 2, 480)})
	if f.RateAssumed || f.ClockRate != 48000 {
		t.Fatalf("%+v", f)
	}
	if at := f.Clock().Time(480 + 48000); time.Duration(at-f.Last) != time.Second {
		t.Errorf("a second later is %v later", time.Duration(at-f.Last))
	}
}
