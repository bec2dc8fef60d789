package rtp_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// open opens a tap; the test is skipped without its capabilities, or where the
// kernel lacks TCX.
func open(t testing.TB, o rtp.Options) *rtp.Tap {
	t.Helper()
	tap, err := rtp.Open(o)
	var unavailable *bpf.UnavailableError
	if errors.As(err, &unavailable) && len(unavailable.Missing) > 0 {
		t.Skip(err)
	}
	if o.Mode == rtp.TCX && err != nil && !hasTCX() {
		t.Skip("TCX needs Linux 6.6")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tap.Close(); err != nil {
			t.Error(err)
		}
	})
	return tap
}

func hasTCX() bool {
	var name unix.Utsname
	var major, minor int
	if unix.Uname(&name) != nil {
		return false
	}
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 6)
}

// pair is two namespaces, joined: the second has 10.9.0.2 and fd09::2.
func pair(t *testing.T) (sender, receiver *nettest.Namespace) {
	sender, receiver = nettest.New(t), nettest.New(t)
	nettest.Veth(t, sender, "out0", []string{"10.9.0.1/24", "fd09::1/64"}, receiver, "in0", []string{"10.9.0.2/24", "fd09::2/64"})
	return sender, receiver
}

var modes = []rtp.Mode{rtp.Packet, rtp.TCX}

// What the tap counts is what a receiver counts that reads every packet, but for
// jitter, where both see a packet at different moments.
func TestFiguresEqualTheReceivers(t *testing.T) {
	for _, mode := range modes {
		for _, to := range []string{"10.9.0.2", "fd09::2"} {
			for _, size := range []struct{ flows, packets int }{{1, 3000}, {100, 100}, {1200, 20}} {
				t.Run(fmt.Sprintf("%v/%s/%d flows", mode, to, size.flows), func(t *testing.T) {
					sender, receiver := pair(t)
					r := newReceiver(t, receiver, netip.MustParseAddr(to))
					tap := open(t, rtp.Options{Netns: receiver.Path(), Mode: mode})
					atSender := open(t, rtp.Options{Netns: sender.Path(), Mode: mode})
					random := rand.New(rand.NewPCG(1, uint64(size.flows)))
					var streams []stream
					var conns []*net.UDPConn
					for i := range size.flows {
						streams = append(streams, video(random, random.Uint32(), size.packets, impaired))
						if i < 50 { // many sources share a socket
							conns = append(conns, dial(t, sender, r.addr()))
						}
					}
					r.read(sendAll(t, conns, streams, nil))
					compare(t, tap, r, rtp.Ingress)
					compare(t, atSender, r, rtp.Egress)
				})
			}
		}
	}
}

// compare puts each flow of the tap beside what the receiver counted.
func compare(t *testing.T, tap *rtp.Tap, r *receiver, direction rtp.Direction) map[source]rtp.Flow {
	t.Helper()
	flows, err := tap.Flows()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[source]rtp.Flow{}
	for _, f := range flows {
		key := source{f.SSRC, f.Src}
		if _, twice := seen[key]; twice {
			t.Errorf("%v is there twice", key)
		}
		seen[key] = f
		want := r.sources[key]
		if want == nil {
			t.Errorf("%+v was not received", f)
			continue
		}
		for _, figure := range []struct {
			name      string
			got, want uint64
		}{
			{"packets", f.Packets, want.packets}, {"lost", f.Lost, want.lost()}, {"duplicates", f.Duplicates, want.duplicates},
			{"reordered", f.Reordered, want.reordered}, {"frames", f.Frames, uint64(len(want.frames))}, {"markers", f.Markers, want.markers},
			{"key frames", f.Keys.Count, uint64(len(want.keys))},
			{"outliers", f.Outliers, 0}, {"restarts", f.Restarts, 0}, {"contended", f.Contended, 0},
		} {
			if figure.got != figure.want {
				t.Errorf("%v: the tap counts %d %s, the receiver %d", key, figure.got, figure.name, figure.want)
			}
		}
		if f.Keys.Codec != rtp.H264 {
			t.Errorf("%v: %d packets of H.264 are %v", key, f.Packets, f.Keys.Codec)
		}
		if f.Dst.Port() != r.addr().Port() || f.Direction != direction || f.PayloadType != 96 || !f.RateAssumed || f.ClockRate != 90000 {
			t.Errorf("%+v: not the flow that was sent", f)
		}
	}
	if len(seen) != len(r.sources) {
		t.Errorf("the tap has %d flows, the receiver %d", len(seen), len(r.sources))
	}
	stats, err := tap.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.RefusedPackets+stats.RefusedControls+stats.EvictedFlows > 0 || len(stats.Uncovered) > 0 {
		t.Errorf("%+v: nothing should have been missed", stats)
	}
	return seen
}

// The tap sees a packet some microseconds after the kernel stamped it for the
// receiver; so jitter may differ by a twentieth and 0.1 ms. It differs by more
// where the machine was interrupted in between within the last packets: of some
// streams, one must be without that.
func TestJitterAgreesWithTheReceivers(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it is paced")
	}
	random := rand.New(rand.NewPCG(2, 2))
	var off []string
	for range 5 {
		jitter, want := jitters(t, random)
		if want < time.Millisecond {
			t.Fatalf("a jitter of %v shows nothing", want)
		}
		if (jitter - want).Abs() <= want/20+100*time.Microsecond {
			return
		}
		off = append(off, fmt.Sprintf("the tap has a jitter of %v, the receiver %v", jitter, want))
	}
	t.Errorf("each time they differ: %s", strings.Join(off, "; "))
}

// jitters are what the tap and a receiver have of one irregular stream.
func jitters(t *testing.T, random *rand.Rand) (tapped, received time.Duration) {
	t.Helper()
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, netip.MustParseAddr("10.9.0.2"))
	tap := open(t, rtp.Options{Netns: receiver.Path()})
	s := video(random, 7, 600, impairment{})
	conn := dial(t, sender, r.addr())
	r.read(sendAll(t, []*net.UDPConn{conn}, []stream{s}, irregular(random)))
	for key, f := range compare(t, tap, r, rtp.Ingress) {
		tapped, received = f.Jitter, time.Duration(r.sources[key].jitter/90000*1e9)
	}
	return tapped, received
}
