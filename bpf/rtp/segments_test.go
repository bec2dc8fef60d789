package rtp

import (
	"encoding/binary"
	"testing"
)

// interleave is an RTP packet of so many bytes as RTSP interleaves it.
func interleave(size int) []byte {
	b := make([]byte, 4+size)
	b[0], b[4], b[5] = '$', 0x80, 96
	binary.BigEndian.PutUint16(b[2:], uint16(size))
	return b
}

// What TCP does is known here segment by segment.
func TestSignsOfTroubleAreCounted(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		c := craft(t)
		const camera, viewer = 8554, 40000
		media := interleave(96)
		size := uint32(len(media))
		seq := uint32(0xffffff00) // it wraps
		send := func(seq uint32, payload []byte) { c.give(t, tcpPacket(v6, camera, viewer, seq, 100, payload)) }
		answer := func(window uint16) { c.give(t, backwards(v6, tcpPacket(v6, viewer, camera, 1, window, nil))) }
		for range 10 {
			send(seq, media)
			answer(50)
			seq += size
		}
		send(seq-1, nil)        // a keep-alive, or a probe of the window
		send(seq-1, media[:1])  // the same with a byte (RFC 9293, 3.8.4)
		send(seq-size, media)   // sent again
		send(seq-2*size, media) // sent again
		send(seq+size, media)   // the one before it was lost
		send(seq, media)        // and is sent again
		send(seq+2*size, media)
		for range 3 {
			answer(0)
		}
		c.give(t, tcpPacket(v6, camera, viewer, seq, 0, nil)) // the camera's own window says nothing of the viewer
		found, err := c.tap.Interleaved()
		if err != nil || len(found) != 1 {
			t.Fatalf("IPv6 %v: %+v, %v", v6, found, err)
		}
		i := found[0]
		if i.Segments != 15 || i.Bytes != 15*uint64(size) || i.Retransmits != 3 || i.ZeroWindows != 3 || i.Frames != 12 {
			t.Errorf("IPv6 %v: %+v: 15 segments, 3 of them again, 3 windows of 0, 12 new frames", v6, i)
		}
		if i.Src.Port() != camera || i.Dst.Port() != viewer {
			t.Errorf("IPv6 %v: from %v to %v", v6, i.Src, i.Dst)
		}
	}
}

func TestConnectionsBeyondTheTableAreRefusedAndCounted(t *testing.T) {
	c := craft(t)
	for port := range maxStreams {
		seq := uint32(1)
		for range enoughFrames {
			c.give(t, tcpPacket(false, 8554, 10000+uint16(port), seq, 100, interleave(96)))
			seq += 100
		}
	}
	found, err := c.tap.Interleaved()
	if err != nil || len(found) > maxStreams/2 || len(found) < maxStreams/2-1 {
		t.Errorf("%d connections, %v: there is room for %d", len(found), err, maxStreams/2)
	}
	stats, err := c.tap.Stats()
	if err != nil || stats.RefusedStreams != enoughFrames*(maxStreams-uint64(len(found))) {
		t.Errorf("%+v, %v: %d connections are in the table", stats, err, len(found))
	}
}
