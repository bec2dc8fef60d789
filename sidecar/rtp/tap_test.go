package rtp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/clock"
	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// Times differ, since only the kernel knows when it saw a packet.
var butTimes = cmp.Options{
	cmpopts.IgnoreFields(tap.Flow{}, "First", "Last", "Jitter", "Interface", "Direction", "Src", "Dst", "Keys.At", "Wait.From", "Wait.To"),
	cmpopts.IgnoreFields(tap.Gap{}, "Ktime", "Interface", "Direction", "Src", "Dst"),
}

// The kernel's tap and a capture file's table see the same in the same packets,
// and so do the samples made of them.
func TestTableSeesWhatTheTapSees(t *testing.T) {
	for _, mode := range []tap.Mode{tap.Packet, tap.TCX} {
		for name, address := range map[string]string{"IPv4": "127.0.0.1", "IPv6": "::1"} {
			t.Run(mode.String()+" "+name, func(t *testing.T) {
				b := newBoth(t, mode, address)
				random := rand.New(rand.NewPCG(1, 1))
				packets := impaired(random, &source{ssrc: 0xfeed, payloadType: 96, seq: 65_500, timestamp: 4_294_900_000}, 300)
				for i, p := range packets {
					b.send(p)
					if i%97 == 96 || i == len(packets)-1 {
						b.compare()
					}
				}
				if gaps := b.gaps(); len(gaps) < 10 {
					t.Errorf("%d gaps", len(gaps))
				}
			})
		}
	}
}

// Codecs follow each other within one flow, among payload of neither, and RTP's
// header has sources, extensions and padding, some of which claim too much.
func TestTableReadsKeyFramesAsTheTapDoes(t *testing.T) {
	for _, mode := range []tap.Mode{tap.Packet, tap.TCX} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%v %d", mode, seed), func(t *testing.T) {
				b := newBoth(t, mode, "127.0.0.1")
				b.segments = seed%2 == 1
				random := rand.New(rand.NewPCG(seed, 2))
				s, codecs := &source{ssrc: 0xbeef, payloadType: 96}, map[tap.Codec]int{}
				count := uint64(0)
				for i := range 2000 {
					of := [...]tap.Codec{tap.H264, tap.Unrecognised, tap.H265, tap.H264, tap.H265}[i/200%5]
					b.send(dressed(random, s.next(i%4 == 3), media(random, of)))
					if i%4 == 3 {
						s.timestamp += 3000
					}
					if i%25 == 24 {
						f := b.compare()
						codecs[f.Keys.Codec]++
						count = max(count, f.Keys.Count)
					}
				}
				t.Logf("%v, %d key frames", codecs, count)
				if codecs[tap.H264] < 5 || codecs[tap.H265] < 5 || codecs[tap.Unrecognised] < 5 || count < 5 {
					t.Errorf("codecs %v, %d key frames: the packets show too little", codecs, count)
				}
			})
		}
	}
}

// A flow of either codec meets five packets of each kind: what objects makes it
// unrecognised, what begins key frames is counted.
func TestTableReadsEachKindAsTheTapDoes(t *testing.T) {
	b := newBoth(t, tap.Packet, "127.0.0.1")
	s := &source{ssrc: 0xcafe, payloadType: 96}
	send := func(media []byte) {
		b.send(append(s.next(true)[:headerSize], media...))
		s.timestamp += 3000
	}
	for _, slice := range [][]byte{{0x41, 0x9a, 1}, {0x02, 1, 0xd0}} {
		for _, kind := range carried {
			for range 60 {
				send(slice)
			}
			for range 5 {
				send(kind.media)
				b.compare()
			}
		}
	}
}

// Pictures are late, and miss packets at their beginnings and ends, in and out of
// order: which of them are whole, and how long there is none, both say.
func TestTableWaitsForWholePicturesAsTheTapDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it waits")
	}
	for _, outOfOrder := range []bool{false, true} {
		b := newBoth(t, tap.Packet, "127.0.0.1")
		random := rand.New(rand.NewPCG(3, 3))
		s := &source{ssrc: 0xabcd, payloadType: 96}
		sent, late := 0, []byte(nil)
		for i := range 400 {
			at := i
			if outOfOrder { // I P B B: each P comes before two that are shown earlier
				at += [...]int{2, -1, -1}[i%3]
			}
			s.timestamp = 90_000 + uint32(at)*3000
			if i > 20 && random.IntN(30) == 0 {
				b.flush()
				time.Sleep(130 * time.Millisecond)
				sent++
			}
			for j := range 4 {
				media := []byte{0x5c, 0x01, 0x9a, 0}
				if j == 0 {
					media[1] = 0x81
				}
				p := append(s.next(j == 3)[:headerSize], media...)
				switch {
				case i > 20 && random.IntN(12) == 0: // lost
				case i > 20 && late == nil && random.IntN(40) == 0:
					late = p // it is overtaken
				default:
					b.send(p)
					if late != nil && random.IntN(2) == 0 {
						b.send(late)
						late = nil
					}
				}
			}
			if i%7 == 6 {
				b.compare()
			}
		}
		f := b.compare()
		if f.Waits < 5 || f.Waits > uint64(sent) {
			t.Errorf("out of order %v: %d waits of %d pauses", outOfOrder, f.Waits, sent)
		}
		ends, begins := 0, 0
		for _, g := range b.gaps() {
			if g.Ends {
				ends++
			}
			if g.Begins {
				begins++
			}
		}
		if ends < 5 || begins < 5 {
			t.Errorf("out of order %v: %d gaps behind a picture's end, %d before a beginning", outOfOrder, ends, begins)
		}
	}
}

// media is payload of a codec: one of each kind that there is, made longer, and
// seldom of another or with a byte that is wrong.
func media(random *rand.Rand, codec tap.Codec) []byte {
	var b []byte
	for b == nil {
		if c := carried[random.IntN(len(carried))]; c.codec == codec || codec == tap.Unrecognised || random.IntN(300) == 0 {
			b = slices.Clone(c.media)
		}
	}
	if random.IntN(3) > 0 && !aggregated(b) {
		for range random.IntN(40) {
			b = append(b, byte(random.Uint32()))
		}
	}
	if random.IntN(200) == 0 || codec == tap.Unrecognised {
		b[random.IntN(min(len(b), 8))] = byte(random.Uint32())
	}
	return b[:len(b)-min(len(b), max(0, random.IntN(200)-197))]
}

func aggregated(b []byte) bool { return b[0]&0x9f == 24 || b[0] == 0x60 }

// dressed is a packet with that header and media, and what else RTP's header may
// have.
func dressed(random *rand.Rand, header, media []byte) []byte {
	b := header[:headerSize:headerSize]
	if random.IntN(4) == 0 {
		n := random.IntN(16)
		b[0] |= byte(n)
		b = append(b, make([]byte, 4*n)...)
	}
	if random.IntN(4) == 0 {
		n := random.IntN(5)
		b[0] |= 0x10
		b = append(b, 0xbe, 0xde, 0, byte(n))
		b = append(b, make([]byte, 4*n)...)
		if random.IntN(100) == 0 {
			b[len(b)-4*n-1] = 200 // more than there is
		}
	}
	b = append(b, media...)
	if random.IntN(4) == 0 {
		n := 1 + random.IntN(20)
		b[0] |= 0x20
		b = append(b, make([]byte, n)...)
		b[len(b)-1] = byte(n)
		if random.IntN(50) == 0 {
			b[len(b)-1] = byte(random.Uint32())
		}
	}
	return b
}

// both shows one flow's packets to a tap and to a table.
type both struct {
	t        *testing.T
	kernel   *tap.Tap
	table    *Table
	receiver *net.UDPConn
	sender   *net.UDPConn
	// segments makes the kernel carry several packets as one.
	segments bool
	waiting  [][]byte

	ofKernel, ofTable Meter
	told              chan tap.Gap
	stop              context.CancelFunc
	ended             chan error
}

func newBoth(t *testing.T, mode tap.Mode, address string) *both {
	b := &both{t: t, table: NewTable(), told: make(chan tap.Gap, 1000), ended: make(chan error)}
	var err error
	if b.receiver, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(address)}); err != nil {
		t.Skipf("no %s here: %v", address, err)
	}
	t.Cleanup(func() { b.receiver.Close() })
	to := b.receiver.LocalAddr().(*net.UDPAddr)
	b.kernel, err = tap.Open(tap.Options{Ports: []uint16{uint16(to.Port)}, Mode: mode})
	var unavailable *bpf.UnavailableError
	if errors.As(err, &unavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.kernel.Close() })
	if b.sender, err = net.DialUDP("udp", nil, to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.sender.Close() })
	var ctx context.Context
	ctx, b.stop = context.WithCancel(t.Context())
	go func() { b.ended <- b.kernel.Gaps(ctx, func(g tap.Gap) { b.told <- g }) }()
	return b
}

// send sends a packet, or with segments keeps it until one of another length
// comes.
func (b *both) send(packet []byte) {
	b.t.Helper()
	if !b.segments {
		b.waiting = append(b.waiting, packet)
		b.flush()
		return
	}
	// All segments but the last have one length.
	if n := len(b.waiting); n > 0 && (len(packet) > len(b.waiting[0]) || len(b.waiting[n-1]) < len(b.waiting[0]) || n == 16) {
		b.flush()
	}
	b.waiting = append(b.waiting, packet)
}

func (b *both) flush() {
	b.t.Helper()
	if len(b.waiting) == 0 {
		return
	}
	var control []byte
	if len(b.waiting) > 1 {
		control = make([]byte, unix.CmsgSpace(2))
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], uint16(len(b.waiting[0])))
	}
	if _, _, err := b.sender.WriteMsgUDP(slices.Concat(b.waiting...), control, nil); err != nil {
		b.t.Fatal(err)
	}
	if err := b.receiver.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		b.t.Fatal(err)
	}
	buffer := make([]byte, 2048)
	for _, want := range b.waiting {
		n, err := b.receiver.Read(buffer) // so the tap has seen it
		if err != nil || n != len(want) {
			b.t.Fatalf("%d bytes of %d, %v", n, len(want), err)
		}
	}
	// The tap's time: a busy machine's delays would make a difference.
	at := clock.Now()
	flows, err := b.kernel.Flows()
	if err != nil {
		b.t.Fatal(err)
	}
	if len(flows) == 1 {
		at = flows[0].Last
	}
	for _, one := range b.waiting {
		p := packet(0, one)
		p.At = at
		b.table.Add(p)
	}
	b.waiting = b.waiting[:0]
}

// compare compares the flow and the sample of both, and returns the tap's.
func (b *both) compare() tap.Flow {
	b.t.Helper()
	b.flush()
	flows, err := b.kernel.Flows()
	if err != nil {
		b.t.Fatal(err)
	}
	mine := b.table.Flows(nil, clock.Now())
	if len(flows) != 1 || len(mine) != 1 {
		b.t.Fatalf("%d flows of the tap, %d of the table", len(flows), len(mine))
	}
	// Each packet's length has IP's header, which is longer in IPv6.
	if b.receiver.LocalAddr().(*net.UDPAddr).IP.To4() == nil {
		flows[0].Bytes -= 20 * flows[0].Packets
	}
	if diff := cmp.Diff(flows[0], mine[0], butTimes); diff != "" {
		b.t.Fatalf("after %d packets, tap and table:\n%s", mine[0].Packets, diff)
	}
	if k := &flows[0].Keys; k.Count > 0 && (k.At < flows[0].First || k.At > flows[0].Last) {
		b.t.Fatalf("a key frame at %v of a flow from %v to %v", k.At, flows[0].First, flows[0].Last)
	}
	// Samples of the same figures are the same at the same times.
	mine[0].First, mine[0].Last, mine[0].Jitter, mine[0].Keys.At = flows[0].First, flows[0].Last, flows[0].Jitter, flows[0].Keys.At
	mine[0].Wait = flows[0].Wait
	if diff := cmp.Diff(b.ofKernel.Next(&flows[0]), b.ofTable.Next(&mine[0])); diff != "" {
		b.t.Fatalf("after %d packets, samples of tap and table:\n%s", mine[0].Packets, diff)
	}
	return flows[0]
}

// gaps compares the gaps of both, and returns them.
func (b *both) gaps() []tap.Gap {
	b.t.Helper()
	b.stop() // what is in the ring is handed over first
	<-b.ended
	close(b.told)
	var gaps []tap.Gap
	for g := range b.told {
		gaps = append(gaps, g)
	}
	// The first packets are no flow yet to the table, which is told no ports.
	mine := b.table.Gaps()
	if diff := cmp.Diff(gaps[max(len(gaps)-len(mine), 0):], mine, butTimes); diff != "" {
		b.t.Errorf("gaps of tap and table:\n%s", diff)
	}
	return mine
}
