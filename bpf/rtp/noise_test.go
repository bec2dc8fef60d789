package rtp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// noise is what else goes over UDP: by protocol, the nth packet of one talk.
var noise = map[string]func(random *rand.Rand, n int) []byte{
	// Every id there is, so also those that begin with RTP's version; the rest of
	// the header is the same each time, and SSRC's place as well.
	"DNS": func(_ *rand.Rand, n int) []byte {
		b := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1}
		binary.BigEndian.PutUint16(b, uint16(n*31))
		return b
	},
	"the same DNS query": func(*rand.Rand, int) []byte {
		return []byte{0x81, 0x23, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1}
	},
	"STUN": func(random *rand.Rand, _ int) []byte { // RFC 8489, section 5
		return append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, random12(random)...)
	},
	"TURN channel": func(random *rand.Rand, n int) []byte { // RFC 8656, section 12.4
		return append([]byte{0x40, 1, 0, 12}, random12(random)...)
	},
	"DTLS": func(random *rand.Rand, n int) []byte { // RFC 6347, section 4.1
		b := append([]byte{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, byte(n), 0, 12}, random12(random)...)
		return b
	},
	"QUIC, long header": func(random *rand.Rand, _ int) []byte { // RFC 9000, section 17.2
		return append([]byte{0xc0 | byte(random.IntN(64)), 0, 0, 0, 1, 8}, random12(random)...)
	},
	"QUIC, short header": func(random *rand.Rand, _ int) []byte { // RFC 9000, section 17.3
		return append([]byte{0x40 | byte(random.IntN(64)), 1, 2, 3, 4, 5, 6, 7, 8}, random12(random)...)
	},
	"WireGuard": func(random *rand.Rand, n int) []byte {
		return append([]byte{4, 0, 0, 0, 1, 2, 3, 4, byte(n), byte(n >> 8), 0, 0, 0, 0, 0, 0}, random12(random)...)
	},
	"SRT, keep-alive": func(random *rand.Rand, n int) []byte {
		b := make([]byte, 20)
		b[0], b[1] = 0x80, 1
		binary.BigEndian.PutUint32(b[8:], uint32(n)*1000)
		return b
	},
	"SRT, data": func(random *rand.Rand, n int) []byte {
		b := append(make([]byte, 16), random12(random)...)
		binary.BigEndian.PutUint32(b, uint32(n))
		binary.BigEndian.PutUint32(b[8:], uint32(n)*1000)
		return b
	},
	"RTCP": func(*rand.Rand, int) []byte { return []byte{0x80, 201, 0, 1, 1, 2, 3, 4} },
	"anything": func(random *rand.Rand, _ int) []byte {
		b := make([]byte, random.IntN(64))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	},
	"anything that begins as RTP": func(random *rand.Rand, _ int) []byte {
		return append([]byte{0x80, 96}, append(random12(random), random12(random)...)...)
	},
}

func random12(random *rand.Rand) []byte {
	b := make([]byte, 12)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func TestNoiseIsNoFlow(t *testing.T) {
	for name, packet := range noise {
		t.Run(name, func(t *testing.T) {
			c := craft(t)
			random := rand.New(rand.NewPCG(7, 7))
			for n := range 3000 {
				c.give(t, udpPacket(n%2 == 1, 5353, 5300, packet(random, n)))
			}
			if flows := c.flows(t); len(flows) > 0 {
				t.Errorf("%+v", flows)
			}
		})
	}
}

// Ports below 1024 are not RTP's, whatever comes from there.
func TestPortsOfServicesAreLeftOut(t *testing.T) {
	c := craft(t)
	rtp := []byte{0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7, 1, 2, 3, 4}
	for n := range 20 {
		rtp[3] = byte(n)
		c.give(t, udpPacket(false, 53, 40000, rtp))
		c.give(t, udpPacket(false, 40000, 1023, rtp))
	}
	if flows := c.flows(t); len(flows) > 0 {
		t.Fatalf("%+v", flows)
	}
	for n := range 20 {
		rtp[3] = byte(n)
		c.give(t, udpPacket(false, 1024, 1024, rtp))
	}
	if flows := c.flows(t); len(flows) != 1 || flows[0].Packets != 20 || flows[0].Lost != 0 {
		t.Fatalf("%+v: one flow of 20 packets was given", flows)
	}
}
