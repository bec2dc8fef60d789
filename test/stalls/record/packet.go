package record

import (
	"encoding/binary"
	"net/netip"

	"github.com/debugsidecar/debugsidecar/test/stalls/relay"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// encoder writes packets as they would be on the wire, cut by the snap length.
type encoder struct {
	snap int
	buf  []byte
}

// Addresses returns where a packet of the stream comes from and goes to: RTCP may
// have ports of its own.
func Addresses(s relay.Stream, p relay.Packet) (src, dst netip.AddrPort) {
	src, dst = s.Src, s.Dst
	if p.Control == 0 || s.ReportPort == dst.Port() {
		return src, dst
	}
	return netip.AddrPortFrom(src.Addr(), src.Port()+1), netip.AddrPortFrom(dst.Addr(), dst.Port()+1)
}

// encode returns the packet's first bytes, which are valid until the next call,
// and its length on the wire.
func (e *encoder) encode(s relay.Stream, p relay.Packet) (data []byte, length int) {
	b := e.buf[:0]
	b = append(b, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1) // locally administered addresses
	src, dst := Addresses(s, p)
	udp := 8 + int(p.Size)
	if src.Addr().Is4() {
		length = 14 + 20 + udp
		b = binary.BigEndian.AppendUint16(b, 0x0800)
		at := len(b)
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+udp))
		b = append(b, byte(p.Sequence>>8), byte(p.Sequence), 0x40, 0, 62, 17, 0, 0)
		b = append(b, src.Addr().AsSlice()...)
		b = append(b, dst.Addr().AsSlice()...)
		binary.BigEndian.PutUint16(b[at+10:], checksum(b[at:]))
	} else {
		length = 14 + 40 + udp
		b = binary.BigEndian.AppendUint16(b, 0x86dd)
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(udp))
		b = append(b, 17, 62)
		b = append(b, src.Addr().AsSlice()...)
		b = append(b, dst.Addr().AsSlice()...)
	}
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(udp))
	b = append(b, 0, 0)
	b = appendDatagram(b, s, p)
	for len(b) < min(e.snap, length) {
		b = append(b, byte(len(b)*37))
	}
	e.buf = b
	return b[:min(len(b), e.snap, length)], length
}

// Datagram appends all of a packet's UDP payload.
func Datagram(b []byte, s relay.Stream, p relay.Packet) []byte {
	end := len(b) + int(p.Size)
	b = appendDatagram(b, s, p)
	for len(b) < end {
		b = append(b, byte(len(b)*37))
	}
	return b[:end]
}

// appendDatagram appends RTCP, or RTP with the first bytes of its media.
func appendDatagram(b []byte, s relay.Stream, p relay.Packet) []byte {
	ssrc := s.Sessions[p.Session].SSRC
	switch p.Control {
	case relay.Report:
		b = append(b, 0x80, 200, 0, 6)
		b = binary.BigEndian.AppendUint32(b, ssrc)
		b = binary.BigEndian.AppendUint64(b, uint64(p.Sent)) // NTP's time is not read by anyone
		b = binary.BigEndian.AppendUint32(b, p.Timestamp)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	case relay.Bye:
		b = append(b, 0x81, 203, 0, 1)
		b = binary.BigEndian.AppendUint32(b, ssrc)
	default:
		marker := byte(0)
		if p.Marker {
			marker = 0x80
		}
		b = append(b, 0x80, marker|s.PayloadType)
		b = binary.BigEndian.AppendUint16(b, p.Sequence)
		b = binary.BigEndian.AppendUint32(b, p.Timestamp)
		b = binary.BigEndian.AppendUint32(b, ssrc)
		b = appendPayload(b, s, p)
	}
	return b
}

// appendPayload begins as RFC 6184 has it: a NAL unit, or a fragment of one.
func appendPayload(b []byte, s relay.Stream, p relay.Packet) []byte {
	if s.Media == scenario.Audio {
		return b
	}
	f := s.Frames[p.Frame]
	nal := byte(0x41)
	if f.Key {
		nal = 0x65
	}
	const slice = 0x88 // of all of the picture: first_mb_in_slice is 0
	if f.Packets == 1 {
		return append(b, nal, slice)
	}
	header := nal & 0x1f
	switch p.Index {
	case 0:
		return append(b, nal&0x60|28, header|0x80, slice)
	case f.Packets - 1:
		header |= 0x40
	}
	return append(b, nal&0x60|28, header)
}

func checksum(header []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
