package replay_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// start is when captures of tests begin.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// shot is a frame of a film: when it is sent, after the start, and its packets.
type shot struct {
	media, sent time.Duration
	packets     int
}

// film is a stream: how it is sent, and what became of it on the way.
type film struct {
	src, dst netip.AddrPort
	ssrc     uint32
	shots    []shot
}

func newFilm(number int, length time.Duration, fps int) *film {
	f := &film{
		src:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(30000+number)),
		dst:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 2}), uint16(5004+2*number)),
		ssrc: uint32(0x1000 + number),
	}
	interval := time.Second / time.Duration(fps)
	for i := 0; time.Duration(i)*interval < length; i++ {
		packets := 6
		if i%(2*fps) == 0 {
			packets = 24
		}
		at := time.Duration(i) * interval
		f.shots = append(f.shots, shot{at, at + 20*time.Millisecond, packets})
	}
	return f
}

// hold keeps back what is sent from one moment on for so long; it then comes all
// at once.
func (f *film) hold(from, length time.Duration) *film {
	for i := range f.shots {
		if s := &f.shots[i]; s.sent >= from && s.sent < from+length {
			s.sent = from + length
		}
	}
	return f
}

// lose drops what is sent within so long.
func (f *film) lose(from, length time.Duration) *film {
	f.shots = slices.DeleteFunc(f.shots, func(s shot) bool { return s.sent >= from && s.sent < from+length })
	return f
}

type wirePacket struct {
	at    time.Duration
	frame []byte
	size  int
}

// packets returns the film's, as Ethernet frames with 64 bytes kept of each.
func (f *film) packets() (all []wirePacket) {
	seq := uint16(65000)
	first := f.shots[0].media
	var last time.Duration
	const payload = 1100
	for _, s := range f.shots {
		// What is lost leaves a gap in the sequence.
		// What was held back comes in its order.
		at := max(s.sent, last)
		for i := range s.packets {
			b := make([]byte, 14+20+8+12+10)
			binary.BigEndian.PutUint16(b[12:], 0x0800)
			ip := b[14:]
			ip[0], ip[8], ip[9] = 0x45, 64, 17
			binary.BigEndian.PutUint16(ip[2:], 20+8+12+payload)
			copy(ip[12:], f.src.Addr().AsSlice())
			copy(ip[16:], f.dst.Addr().AsSlice())
			binary.BigEndian.PutUint16(ip[20:], f.src.Port())
			binary.BigEndian.PutUint16(ip[22:], f.dst.Port())
			binary.BigEndian.PutUint16(ip[24:], 8+12+payload)
			h := ip[28:]
			h[0], h[1] = 0x80, 96
			if i == s.packets-1 {
				h[1] |= 0x80
			}
			binary.BigEndian.PutUint16(h[2:], seq)
			binary.BigEndian.PutUint32(h[4:], uint32(4_294_900_000)+uint32((s.media-first)*90000/time.Second))
			binary.BigEndian.PutUint32(h[8:], f.ssrc)
			last = at + time.Duration(i+1)*20*time.Microsecond
			all = append(all, wirePacket{last, b, 14 + 20 + 8 + 12 + payload})
			seq++
		}
	}
	return all
}

// capture returns a classic capture file of films.
func capture(t testing.TB, films ...*film) []byte {
	t.Helper()
	var all []wirePacket
	for _, f := range films {
		all = append(all, f.packets()...)
	}
	slices.SortStableFunc(all, func(a, b wirePacket) int { return int(a.at - b.at) })
	var file bytes.Buffer
	w := pcapgo.NewWriterNanos(&file)
	if err := w.WriteFileHeader(64, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		err := w.WritePacket(gopacket.CaptureInfo{Timestamp: start.Add(p.at), CaptureLength: len(p.frame), Length: p.size}, p.frame)
		if err != nil {
			t.Fatal(err)
		}
	}
	return file.Bytes()
}
