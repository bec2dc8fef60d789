package rtp

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// A packet that is given again and again, whatever it is, makes no flow and no
// connection, and the program never fails.
func FuzzOnePacketMakesNoFlow(f *testing.F) {
	random := rand.New(rand.NewPCG(8, 8))
	for _, packet := range noise {
		f.Add(udpPacket(false, 5004, 5004, packet(random, 1)))
		f.Add(udpPacket(true, 5004, 5004, packet(random, 1)))
	}
	rtp := []byte{0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, 1, 2, 3, 4}
	f.Add(udpPacket(false, 5004, 5004, rtp))
	f.Add(udpPacket(true, 5004, 5004, rtp))
	f.Add(tcpPacket(false, 8554, 40000, 1, 100, append([]byte{'$', 0, 0, byte(len(rtp))}, rtp...)))
	f.Add(tcpPacket(true, 8554, 40000, 1, 0, []byte("RTSP/1.0 200 OK\r\n\r\n")))
	// Compound RTCP: a report with a block, FIR, NACK, BYE.
	control := []byte{
		0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 7, 1, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0,
		0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 0,
		0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 7, 0, 9, 0xff, 0xff,
		0x81, 203, 0, 1, 0, 0, 0, 1,
	}
	f.Add(udpPacket(false, 5004, 5004, control))
	c := craft(f)
	f.Fuzz(func(t *testing.T, packet []byte) {
		if _, err := c.program.Run(&ebpf.RunOptions{Data: packet}); errors.Is(err, unix.EINVAL) || len(packet) > 4000 {
			return // the kernel takes no packet that lacks its headers, or larger than a page
		}
		for range 12 {
			c.give(t, packet)
		}
		if flows := c.flows(t); len(flows) > 0 {
			t.Errorf("flows: %+v", flows)
		}
		found, err := c.tap.Interleaved()
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range found {
			// One frame after RTSP's answer is all that one packet can look like.
			if i.Frames > 1 {
				t.Errorf("connection: %+v", i)
			}
		}
	})
}
