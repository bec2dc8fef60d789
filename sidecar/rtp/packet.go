package rtp

import (
	"encoding/binary"
	"net/netip"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

// Packet is one datagram of UDP.
type Packet struct {
	At       clock.Ktime
	Src, Dst netip.AddrPort
	// Payload is what the capture kept of UDP's payload, Size how long it was.
	Payload []byte
	Size    int
	// Length is the packet's from IP's header on.
	Length int
}

const (
	headerSize  = 12 // RFC 3550, section 5.1, without sources
	controlSize = 8
)

// header is what is looked at of RTP's.
type header struct {
	marker      bool
	payloadType uint8
	seq         uint16
	timestamp   uint32
	ssrc        uint32
}

// read returns RTP's header. It is false for what is not of RTP's version, or
// is cut within the header. (pion/rtp reads extensions and sources too, which a
// snap length often cuts.)
func (p *Packet) read() (h header, ok bool) {
	b := p.Payload
	if len(b) < headerSize || p.Size < headerSize || b[0]>>6 != 2 || isControl(b[1]) {
		return header{}, false
	}
	return header{
		marker: b[1]>>7 == 1, payloadType: b[1] & 0x7f,
		seq: binary.BigEndian.Uint16(b[2:]), timestamp: binary.BigEndian.Uint32(b[4:]), ssrc: binary.BigEndian.Uint32(b[8:]),
	}, true
}

// RTP returns the source and the timestamp of a packet of RTP; ok is false for
// another one.
func (p *Packet) RTP() (ssrc, timestamp uint32, ok bool) {
	h, ok := p.read()
	return h.ssrc, h.timestamp, ok
}

// isControl tells RTCP from RTP by its second byte (RFC 5761, section 4).
func isControl(second byte) bool { return second >= 192 && second < 224 }
