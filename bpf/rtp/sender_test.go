package rtp_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	pion "github.com/pion/rtp"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

// stream is the packets of one source of video as its network delivers them.
type stream struct {
	ssrc    uint32
	packets [][]byte
}

// impairment is how often something befalls a packet, of 1.
type impairment struct{ loss, duplicate, reorder float64 }

var impaired = impairment{loss: 0.01, duplicate: 0.005, reorder: 0.02}

// keyEvery is how many frames are from one key frame to the next.
const keyEvery = 10

// video makes a stream of frames of 8 packets of H.264, 30 a second, and impairs
// it. What RTP's header has before the payload differs from source to source.
func video(random *rand.Rand, ssrc uint32, packets int, by impairment) stream {
	type delivery struct {
		packet []byte
		at     int
	}
	var deliveries []delivery
	seq, timestamp := uint16(random.Uint32()), random.Uint32()
	for i := range packets {
		p := &pion.Packet{
			Header: pion.Header{
				Version: 2, Marker: i%8 == 7, PayloadType: 96, SequenceNumber: seq, Timestamp: timestamp, SSRC: ssrc,
			},
			Payload: make([]byte, 100),
		}
		p.Payload[0], p.Payload[1] = 0x7c, 1 // FU-A of a slice (RFC 6184, 5.8)
		if i/8%keyEvery == 0 {
			p.Payload[1] = 5 // of an IDR picture
		}
		switch ssrc % 4 {
		case 1:
			p.CSRC = []uint32{1, 2, 3}
		case 2:
			if err := p.SetExtension(1, []byte{1, 2, 3}); err != nil {
				panic(err)
			}
		case 3:
			p.Padding, p.Header.PaddingSize = true, 200
		}
		b, err := p.Marshal()
		if err != nil {
			panic(err)
		}
		seq++
		if i%8 == 7 {
			timestamp += 3000
		}
		at := i * 2
		if random.Float64() < by.loss {
			continue
		}
		if random.Float64() < by.duplicate {
			deliveries = append(deliveries, delivery{b, at + 2*random.IntN(40) + 1})
		}
		if random.Float64() < by.reorder {
			at += 2*(1+random.IntN(20)) + 1
		}
		deliveries = append(deliveries, delivery{b, at})
	}
	slices.SortStableFunc(deliveries, func(a, b delivery) int { return a.at - b.at })
	s := stream{ssrc: ssrc}
	for _, d := range deliveries {
		s.packets = append(s.packets, d.packet)
	}
	return s
}

// dial opens a socket of a sender.
func dial(t *testing.T, ns *nettest.Namespace, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	ns.Do(func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		return err
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

// onOneProcessor keeps the caller on one processor until the function that it returns is called. A packet crosses a veth by the queue of the
// sender's processor, so packets of a sender that moves may overtake each other,
// and each who looks sees another order.
func onOneProcessor(t *testing.T) (restore func()) {
	t.Helper()
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.SchedSetaffinity(0, &all); err != nil {
			t.Error(err) // the thread stays locked, and ends
			return
		}
		runtime.UnlockOSThread()
	}
}

// sendAll sends the packets of all streams in turn, and returns how many.
func sendAll(t *testing.T, conns []*net.UDPConn, streams []stream, pause func()) (sent int) {
	t.Helper()
	defer onOneProcessor(t)()
	for i := 0; ; i++ {
		rest := false
		for k, s := range streams {
			if i >= len(s.packets) {
				continue
			}
			rest = true
			if _, err := conns[k%len(conns)].Write(s.packets[i]); err != nil {
				t.Fatal(fmt.Errorf("packet %d: %w", sent, err))
			}
			sent++
		}
		if !rest {
			return sent
		}
		if pause != nil {
			pause()
		}
	}
}

// irregular pauses as a bad network does.
func irregular(random *rand.Rand) func() {
	return func() { time.Sleep(time.Duration(random.IntN(5000)) * time.Microsecond) }
}
