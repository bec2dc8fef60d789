package replay

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/debugsidecar/debugsidecar/sidecar/rtp"
)

// datagram is IP with UDP from port 30000 to 5004, with so many bytes of payload.
func datagram(v6 bool, extensions []byte, payload int) []byte {
	udp := make([]byte, 8+payload)
	binary.BigEndian.PutUint16(udp, 30000)
	binary.BigEndian.PutUint16(udp[2:], 5004)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	if !v6 {
		ip := make([]byte, 20)
		ip[0], ip[9] = 0x45, udpProtocol
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(udp)))
		copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
		return append(ip, udp...)
	}
	ip := make([]byte, 40)
	ip[0], ip[6], ip[23], ip[39] = 0x60, udpProtocol, 1, 2
	if len(extensions) > 0 {
		ip[6], extensions[0] = hopByHop, udpProtocol
	}
	return append(append(ip, extensions...), udp...)
}

func ethernet(tags []byte, kind uint16, ip []byte) []byte {
	b := append(make([]byte, 12), tags...)
	return append(binary.BigEndian.AppendUint16(b, kind), ip...)
}

func TestEveryLinkTypeLeadsToTheDatagram(t *testing.T) {
	v4, v6 := datagram(false, nil, 100), datagram(true, nil, 100)
	vlan := []byte{0x81, 0, 0, 7}
	for _, c := range []struct {
		name string
		link layers.LinkType
		data []byte
		v6   bool
	}{
		{"Ethernet", layers.LinkTypeEthernet, ethernet(nil, etherIPv4, v4), false},
		{"Ethernet, IPv6", layers.LinkTypeEthernet, ethernet(nil, etherIPv6, v6), true},
		{"VLAN", layers.LinkTypeEthernet, ethernet(vlan, etherIPv4, v4), false},
		{"two VLAN tags", layers.LinkTypeEthernet, ethernet(append([]byte{0x88, 0xa8, 0, 1}, vlan...), etherIPv6, v6), true},
		{"SLL", layers.LinkTypeLinuxSLL, append(binary.BigEndian.AppendUint16(make([]byte, 14), etherIPv4), v4...), false},
		{"SLL2", layers.LinkTypeLinuxSLL2, append(append([]byte{0x86, 0xdd}, make([]byte, 18)...), v6...), true},
		{"raw", layers.LinkTypeRaw, v4, false},
		{"raw, IPv6", layers.LinkTypeIPv6, v6, true},
		{"raw of BSD", rawBSD, v4, false},
		{"loopback", layers.LinkTypeNull, append([]byte{2, 0, 0, 0}, v4...), false},
		{"IPv6 with an extension", layers.LinkTypeRaw, datagram(true, make([]byte, 8), 100), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p rtp.Packet
			if got := read(c.link, c.data, len(c.data), &p); got != isUDP {
				t.Fatalf("outcome %d", got)
			}
			want := netip.MustParseAddrPort("10.0.0.2:5004")
			if c.v6 {
				want = netip.MustParseAddrPort("[::2]:5004")
			}
			if p.Dst != want || p.Src.Port() != 30000 || p.Size != 100 || len(p.Payload) != 100 {
				t.Errorf("%v > %v, %d of %d bytes", p.Src, p.Dst, len(p.Payload), p.Size)
			}
		})
	}
}

func TestCutFrameKeepsItsOriginalSize(t *testing.T) {
	data := ethernet(nil, etherIPv4, datagram(false, nil, 1200))
	var p rtp.Packet
	if got := read(layers.LinkTypeEthernet, data[:64], len(data), &p); got != isUDP || p.Size != 1200 || p.Length != 1228 || len(p.Payload) != 22 {
		t.Errorf("outcome %d, %d of %d bytes, %d in all", got, len(p.Payload), p.Size, p.Length)
	}
	for n := range 41 {
		if got := read(layers.LinkTypeEthernet, data[:n], len(data), &p); got == isUDP {
			t.Errorf("%d bytes are a datagram", n)
		}
	}
}

func TestLaterFragmentsAreCounted(t *testing.T) {
	ip := datagram(false, nil, 100)
	ip[7] = 1
	var p rtp.Packet
	if got := read(layers.LinkTypeRaw, ip, len(ip), &p); got != isFragment {
		t.Errorf("IPv4: outcome %d", got)
	}
	extension := make([]byte, 8)
	extension[3] = 8
	ip = datagram(true, extension, 100)
	ip[6] = fragment
	if got := read(layers.LinkTypeRaw, ip, len(ip), &p); got != isFragment {
		t.Errorf("IPv6: outcome %d", got)
	}
}

func FuzzAnyFrameIsReadOrRefused(f *testing.F) {
	f.Add(uint8(1), ethernet(nil, etherIPv4, datagram(false, nil, 20)), 0)
	f.Add(uint8(101), datagram(true, make([]byte, 8), 20), 1000)
	links := []layers.LinkType{
		layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2, layers.LinkTypeNull, layers.LinkTypeRaw,
	}
	f.Fuzz(func(t *testing.T, link uint8, data []byte, more int) {
		var p rtp.Packet
		length := len(data) + min(max(more, 0), 1<<20)
		if read(links[int(link)%len(links)], data, length, &p) == isUDP && (p.Size < 0 || len(p.Payload) > p.Size || p.Length < p.Size) {
			t.Errorf("%d of %d bytes, %d in all", len(p.Payload), p.Size, p.Length)
		}
	})
}
