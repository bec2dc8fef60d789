package replay

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"github.com/debugsidecar/debugsidecar/sidecar/rtp"
)

// Numbers of protocols on the wire.
const (
	etherIPv4   = 0x0800
	etherIPv6   = 0x86dd
	etherVLAN   = 0x8100
	etherQinQ   = 0x88a8
	etherOldQ   = 0x9100
	udpProtocol = 17
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	destination = 60
)

// These take a packet apart by hand: of a frame that a snap length cut, package
// layers gives an error instead of what is there, and at ten times the cost.

// Raw IP has more numbers than one, by where it was captured.
const (
	rawBSD     layers.LinkType = 12
	rawOpenBSD layers.LinkType = 14
)

// outcome says what became of a packet.
type outcome int

const (
	isUDP outcome = iota
	isOther
	isFragment
	isCut
)

// read takes apart one packet of the file, whose original length is given.
func read(link layers.LinkType, data []byte, length int, p *rtp.Packet) outcome {
	at, protocol := 0, 0
	switch link {
	case layers.LinkTypeEthernet:
		at, protocol = 14, ether(data, 12)
	case layers.LinkTypeLinuxSLL:
		at, protocol = 16, ether(data, 14)
	case layers.LinkTypeLinuxSLL2:
		at, protocol = 20, ether(data, 0)
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		at, protocol = 4, version(data, 4)
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, rawBSD, rawOpenBSD:
		protocol = version(data, 0)
	default:
		return isOther
	}
	for protocol == etherVLAN || protocol == etherQinQ || protocol == etherOldQ {
		at, protocol = at+4, ether(data, at+2)
	}
	if at > len(data) {
		return isCut
	}
	switch protocol {
	case etherIPv4:
		return readIPv4(data[at:], length-at, p)
	case etherIPv6:
		return readIPv6(data[at:], length-at, p)
	}
	return isOther
}

func ether(data []byte, at int) int {
	if len(data) < at+2 {
		return -1
	}
	return int(binary.BigEndian.Uint16(data[at:]))
}

// version tells the protocol by IP's own first bits.
func version(data []byte, at int) int {
	if len(data) <= at {
		return -1
	}
	switch data[at] >> 4 {
	case 4:
		return etherIPv4
	case 6:
		return etherIPv6
	}
	return -1
}

func readIPv4(ip []byte, length int, p *rtp.Packet) outcome {
	if len(ip) < 20 {
		return isCut
	}
	if ip[9] != udpProtocol || ip[0]>>4 != 4 {
		return isOther
	}
	if binary.BigEndian.Uint16(ip[6:])&0x1fff != 0 {
		return isFragment
	}
	at := int(ip[0]&15) * 4
	if at < 20 {
		return isOther
	}
	return readUDP(ip, at, length, netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20])), p)
}

const extensions = 8 // of IPv6, that are stepped over

func readIPv6(ip []byte, length int, p *rtp.Packet) outcome {
	if len(ip) < 40 {
		return isCut
	}
	next, at := ip[6], 40
	for range extensions {
		if next != hopByHop && next != routing && next != destination && next != fragment {
			break
		}
		if len(ip) < at+8 {
			return isCut
		}
		step := (int(ip[at+1]) + 1) * 8
		if next == fragment {
			if binary.BigEndian.Uint16(ip[at+2:])&0xfff8 != 0 {
				return isFragment
			}
			step = 8
		}
		next, at = ip[at], at+step
	}
	if next != udpProtocol {
		return isOther
	}
	return readUDP(ip, at, length, netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40])), p)
}

func readUDP(ip []byte, at, length int, src, dst netip.Addr, p *rtp.Packet) outcome {
	if len(ip) < at+8 {
		return isCut
	}
	udp := ip[at:]
	size := int(binary.BigEndian.Uint16(udp[4:])) - 8
	if size < 0 { // 0 is what a jumbogram has, and a packet that the card will cut
		size = length - at - 8
	}
	if size < 0 {
		return isOther
	}
	p.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(udp))
	p.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(udp[2:]))
	p.Size, p.Length = size, at+8+size
	p.Payload = udp[8:min(len(udp), 8+size)]
	return isUDP
}
