package rtp

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

var (
	camera = netip.MustParseAddrPort("10.0.0.1:30000")
	viewer = netip.MustParseAddrPort("10.0.0.2:5004")
)

// source is a sender of RTP.
type source struct {
	ssrc        uint32
	payloadType uint8
	seq         uint16
	timestamp   uint32
}

// next returns the next packet's RTP; marker ends a frame.
func (s *source) next(marker bool) []byte {
	b := make([]byte, headerSize+4)
	b[0], b[1] = 2<<6, s.payloadType
	if marker {
		b[1] |= 1 << 7
	}
	binary.BigEndian.PutUint16(b[2:], s.seq)
	binary.BigEndian.PutUint32(b[4:], s.timestamp)
	binary.BigEndian.PutUint32(b[8:], s.ssrc)
	s.seq++
	return b
}

func packet(at time.Duration, payload []byte) *Packet {
	return &Packet{
		At: clock.Ktime(time.Hour + at), Src: camera, Dst: viewer, Payload: payload, Size: len(payload), Length: 28 + len(payload),
	}
}

// impaired returns frames of a source of which some packets are lost, some come
// twice, some late, and which begins anew once.
func impaired(random *rand.Rand, s *source, frames int) (payloads [][]byte) {
	for i := range frames {
		if i == frames/2 {
			s.seq += 20_000
		}
		for j := range 4 {
			b := s.next(j == 3)
			switch n := random.IntN(40); {
			case n == 0 && i > 2: // lost
			case n == 1:
				payloads = append(payloads, b, b)
			case n == 2 && len(payloads) > 2:
				last := len(payloads) - 1
				payloads = append(payloads[:last], b, payloads[last])
			default:
				payloads = append(payloads, b)
			}
		}
		s.timestamp += 3000
	}
	return payloads
}
