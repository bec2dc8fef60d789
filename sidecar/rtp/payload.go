package rtp

import (
	"encoding/binary"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// payload is a packet's media: what the capture kept of it, and its size.
type payload struct {
	bytes []byte
	size  int
}

// media returns what follows RTP's header with its sources and its extension
// (RFC 3550, 5.1 and 5.3.1), without padding; nothing if it is cut before that.
func (p *Packet) media() payload {
	b, at := p.Payload, headerSize+4*int(p.Payload[0]&15)
	if b[0]&0x10 != 0 {
		if len(b) < at+4 {
			return payload{}
		}
		at += 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
	}
	size := p.Size - at
	if b[0]&0x20 != 0 {
		if len(b) < p.Size {
			return payload{} // how much is padding stands at the end
		}
		size -= int(b[len(b)-1])
	}
	if size <= 0 || len(b) <= at {
		return payload{}
	}
	return payload{b[at:min(len(b), at+size)], size}
}

// unit is what a packet is found to carry.
type unit struct {
	codec tap.Codec // 0 if it is of none that is known
	// slice is set for a part of a picture. Parameter sets and the like say less:
	// many a payload begins with the same byte again and again.
	slice bool
	// key is set where a key frame begins or goes on.
	key bool
	// first is set where a picture begins: nothing of it comes before.
	first bool
}

// recognise reads the media as of the likely codec first, for a few bytes fit
// both.
func (m payload) recognise(likely tap.Codec) unit {
	if likely == tap.H264 {
		if u := m.h264(); u.codec != 0 {
			return u
		}
		return m.h265()
	}
	if u := m.h265(); u.codec != 0 {
		return u
	}
	return m.h264()
}

// units is how many of an aggregate are looked at: key frames begin with their
// parameter sets.
const units = 4

// aggregate joins what the first units of an aggregation packet are, each of
// which has its size before it.
func (m payload) aggregate(single func(b []byte) unit) (all unit) {
	b, left := m.bytes, m.size
	for range units {
		if left == 0 || len(b) < 4 && len(b) < left {
			return all
		}
		if left < 4 {
			return unit{}
		}
		size := int(binary.BigEndian.Uint16(b))
		if size < 2 || 2+size > left {
			return unit{}
		}
		u := single(b[2:])
		if u.codec == 0 {
			return unit{}
		}
		all = unit{u.codec, all.slice || u.slice, all.key || u.key, all.first || u.first}
		left -= 2 + size
		b = b[min(len(b), 2+size):]
	}
	return all
}

const bothEnds = 0xc0 // a fragment that is first and last: RFC 6184, 5.8; RFC 7798, 4.4.3

// h264 reads RFC 6184's single NAL units, STAP-A and FU-A.
func (m payload) h264() unit {
	b := m.bytes
	switch b[0] & 0x9f {
	case 24:
		m.bytes, m.size = b[1:], m.size-1
		return m.aggregate(singleH264)
	case 28:
		kind := b[1] & 0x1f
		if b[1]&0x20 != 0 || b[1]&bothEnds == bothEnds {
			return unit{}
		}
		return singleH264([]byte{b[0]&0x60 | kind, b[2]}).fragment(b[1])
	}
	return singleH264(b)
}

// fragment returns what of a unit a fragment is, whose header says in its highest
// bit whether it is the first.
func (u unit) fragment(header byte) unit {
	u.first = u.first && header&0x80 != 0
	return u
}

// singleH264 reads a NAL unit's header (H.264, 7.4.1, with what nal_ref_idc has
// to be). Parameter sets and the like come before a picture; a slice is its first
// if first_mb_in_slice is 0, which is one bit, set, in the next byte (7.3.3).
func singleH264(b []byte) unit {
	reference := b[0]&0x60 != 0
	switch kind := b[0] & 0x9f; {
	case kind == 1:
		return unit{codec: tap.H264, slice: true, first: b[1]&0x80 != 0}
	case kind == 5 && reference:
		return unit{codec: tap.H264, slice: true, key: true, first: b[1]&0x80 != 0}
	case kind == 7 && reference:
		return unit{codec: tap.H264, key: true, first: true}
	case kind == 8 && reference, !reference && (kind == 6 || kind >= 9 && kind <= 12):
		return unit{codec: tap.H264, first: kind <= 9}
	}
	return unit{}
}

// h265 reads RFC 7798's single NAL units, AP and FU.
func (m payload) h265() unit {
	b := m.bytes
	if !headerH265(b) {
		return unit{}
	}
	switch b[0] >> 1 {
	case 48:
		m.bytes, m.size = b[2:], m.size-2
		return m.aggregate(singleH265)
	case 49:
		if b[2]&bothEnds == bothEnds {
			return unit{}
		}
		return kindH265(b[2]&0x3f, at(b, 3)).fragment(b[2])
	}
	return singleH265(b)
}

// headerH265 says whether two bytes may be a NAL unit's header of the base layer
// (H.265, 7.4.2.2).
func headerH265(b []byte) bool { return b[0]&0x81 == 0 && b[1]>>3 == 0 && b[1] != 0 }

func singleH265(b []byte) unit {
	if !headerH265(b) {
		return unit{}
	}
	return kindH265(b[0]>>1, at(b, 2))
}

// at returns a byte, 0 beyond the end.
func at(b []byte, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// kindH265 is H.265's table 7-1; a slice begins with
// first_slice_segment_in_pic_flag (7.3.6.1).
func kindH265(kind, next byte) unit {
	switch {
	case kind <= 9:
		return unit{codec: tap.H265, slice: true, first: next&0x80 != 0}
	case kind >= 16 && kind <= 21:
		return unit{codec: tap.H265, slice: true, key: true, first: next&0x80 != 0}
	case kind >= 32 && kind <= 40:
		return unit{codec: tap.H265, first: kind <= 35 || kind == 39}
	}
	return unit{}
}
