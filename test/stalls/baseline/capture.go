package baseline

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

// flow names a stream.
type flow struct {
	src, dst netip.AddrPort
	ssrc     uint32
}

// packet is what a baseline looks at.
type packet struct {
	flow
	at        time.Duration
	timestamp uint32
}

// read calls do for each packet of RTP in a capture of the laboratory.
func read(from io.Reader, start time.Time, do func(packet)) error {
	r, err := pcapgo.NewReader(bufio.NewReaderSize(from, 1<<20))
	if err != nil {
		return err
	}
	for {
		data, info, err := r.ZeroCopyReadPacketData()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if p, ok := parse(data); ok {
			p.at = info.Timestamp.Sub(start)
			do(p)
		}
	}
}

// parse reads Ethernet, IP without options, UDP and RTP.
func parse(b []byte) (p packet, ok bool) {
	if len(b) < 14+20+8+12 {
		return p, false
	}
	var src, dst netip.Addr
	switch binary.BigEndian.Uint16(b[12:]) {
	case 0x0800:
		src, dst = netip.AddrFrom4([4]byte(b[26:])), netip.AddrFrom4([4]byte(b[30:]))
		b = b[34:]
	case 0x86dd:
		if len(b) < 14+40+8+12 {
			return p, false
		}
		src, dst = netip.AddrFrom16([16]byte(b[22:])), netip.AddrFrom16([16]byte(b[38:]))
		b = b[54:]
	default:
		return p, false
	}
	p.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
	p.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	b = b[8:]
	if b[0]>>6 != 2 || b[1] >= 192 && b[1] <= 223 { // RFC 5761, section 4
		return p, false
	}
	p.timestamp, p.ssrc = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	return p, true
}
