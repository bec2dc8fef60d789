package rtp

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/debugsidecar/debugsidecar/bpf/internal/nettest"
)

// crafted gives a tap's program packets that no socket would send, by
// BPF_PROG_TEST_RUN: they look as if they came by loopback.
type crafted struct {
	tap     *Tap
	program *ebpf.Program
}

func craft(t testing.TB) crafted {
	t.Helper()
	tap, err := Open(Options{Netns: nettest.New(t).Path(), Mode: Packet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	return crafted{tap, tap.place.(*packetPlace).program}
}

// give runs the program, which keeps no packet.
func (c crafted) give(t testing.TB, packet []byte) {
	t.Helper()
	kept, err := c.program.Run(&ebpf.RunOptions{Data: packet})
	if err != nil {
		t.Fatal(err)
	}
	if kept != 0 {
		t.Fatalf("the program keeps %d bytes", kept)
	}
}

func (c crafted) flows(t testing.TB) []Flow {
	t.Helper()
	flows, err := c.tap.Flows()
	if err != nil {
		t.Fatal(err)
	}
	return flows
}

const (
	tcpProtocol = 6
	udpProtocol = 17
)

// ipPacket is an Ethernet frame with an IP packet of 10.0.0.1 to 10.0.0.2, or
// fd00::1 to fd00::2.
func ipPacket(v6 bool, protocol byte, payload []byte) []byte {
	if v6 {
		b := make([]byte, 14+40)
		binary.BigEndian.PutUint16(b[12:], 0x86dd)
		b[14], b[14+6], b[14+7] = 6<<4, protocol, 64
		binary.BigEndian.PutUint16(b[14+4:], uint16(len(payload)))
		b[14+8], b[14+23], b[14+24], b[14+39] = 0xfd, 1, 0xfd, 2
		return append(b, payload...)
	}
	b := make([]byte, 14+20)
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	b[14], b[14+8], b[14+9] = 4<<4|5, 64, protocol
	binary.BigEndian.PutUint16(b[14+2:], uint16(20+len(payload)))
	copy(b[14+12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	return append(b, payload...)
}

func udpPacket(v6 bool, from, to uint16, payload []byte) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b[0:], from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return ipPacket(v6, udpProtocol, append(b, payload...))
}

func tcpPacket(v6 bool, from, to uint16, seq uint32, window uint16, payload []byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b[0:], from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint32(b[4:], seq)
	b[12], b[13] = 5<<4, 0x10
	binary.BigEndian.PutUint16(b[14:], window)
	return ipPacket(v6, tcpProtocol, append(b, payload...))
}

// backwards swaps a packet's addresses.
func backwards(v6 bool, packet []byte) []byte {
	at, size := 14+12, 4
	if v6 {
		at, size = 14+8, 16
	}
	from := slices.Clone(packet[at : at+size])
	copy(packet[at:], packet[at+size:at+2*size])
	copy(packet[at+size:], from)
	return packet
}
