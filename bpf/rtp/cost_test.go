package rtp

import (
	"testing"
	"time"
)

// BenchmarkOnePacket is what the program takes for a packet of a flow, without
// the kernel's way to it: the least of many rounds, since a neighbour only adds.
func BenchmarkOnePacket(b *testing.B) {
	for _, kind := range []struct {
		name        string
		payloadType byte
		media       []byte
	}{
		{"audio, unread", 0, []byte{1, 2, 3, 4}},
		{"no codec", 96, []byte{0, 0, 0, 0}},
		{"slice of H.264", 96, []byte{0x41, 0x9a, 1, 2}},
		{"STAP-A of two", 96, []byte{0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x41, 1}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			c := craft(b)
			media := append(kind.media, make([]byte, 1188-len(kind.media))...)
			if kind.media[0] == 0x78 {
				media = kind.media // its sizes end with it
			}
			for seq := range uint16(40) {
				c.give(b, udpPacket(false, 5004, 5004, append([]byte{0x80, kind.payloadType, 0, byte(seq), 0, 0, 0, 0, 0, 0, 0, 7}, media...)))
			}
			if flows := c.flows(b); len(flows) != 1 {
				b.Fatalf("%d flows", len(flows))
			}
			p := udpPacket(false, 5004, 5004, append([]byte{0x80, kind.payloadType, 0, 39, 0, 0, 0, 0, 0, 0, 0, 7}, media...))
			least := time.Hour
			for b.Loop() {
				_, took, err := c.program.Benchmark(p, 10_000, nil)
				if err != nil {
					b.Fatal(err)
				}
				least = min(least, took)
			}
			b.ReportMetric(float64(least.Nanoseconds()), "ns/packet")
		})
	}
}
