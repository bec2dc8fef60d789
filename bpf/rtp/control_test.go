package rtp_test

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// What RTCP says belongs to the flow that it speaks of, whichever way it goes.
func TestControlBelongsToTheMediasFlow(t *testing.T) {
	for _, mode := range modes {
		for _, to := range []string{"10.9.0.2", "fd09::2"} {
			t.Run(mode.String()+"/"+to, func(t *testing.T) { testControl(t, mode, netip.MustParseAddr(to)) })
		}
	}
}

func testControl(t *testing.T, mode rtp.Mode, to netip.Addr) {
	sender, receiver := pair(t)
	r := newReceiver(t, receiver, to)
	tap := open(t, rtp.Options{Netns: receiver.Path(), Mode: mode})
	conn := dial(t, sender, r.addr())
	from := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	random := rand.New(rand.NewPCG(3, 3))
	const camera, microphone = 0xcafe, 0xbeef
	streams := []stream{video(random, camera, 50, impairment{}), video(random, microphone, 50, impairment{})}

	defer onOneProcessor(t)() // so that reports keep their order, and what is last comes last
	// The first request for a picture may come before there is any.
	say := func(socket *net.UDPConn, target *netip.AddrPort, packets ...rtcp.Packet) {
		t.Helper()
		b, err := rtcp.Marshal(packets)
		if err != nil {
			t.Fatal(err)
		}
		if target == nil {
			_, err = socket.Write(b)
		} else {
			_, err = socket.WriteToUDPAddrPort(b, *target)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	report := rtcp.ReceptionReport{SSRC: camera, FractionLost: 25, TotalLost: 0xfffffe, LastSequenceNumber: 70_000, Jitter: 90}
	say(r.conn, &from, &rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: camera})
	r.read(sendAll(t, []*net.UDPConn{conn}, streams, nil))
	for range 4 {
		say(r.conn, &from,
			&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{report, {SSRC: microphone}}},
			&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: camera})
	}
	say(r.conn, &from, &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: camera, Nacks: []rtcp.NackPair{{PacketID: 5, LostPackets: 0b1011}, {PacketID: 90}}})
	say(r.conn, &from, &rtcp.FullIntraRequest{SenderSSRC: 1, MediaSSRC: microphone, FIR: []rtcp.FIREntry{{SSRC: camera, SequenceNumber: 1}, {SSRC: microphone, SequenceNumber: 1}}})
	ntp := uint64(3_900_000_000)<<32 | 1<<31
	for i := range 3 {
		say(conn, nil,
			&rtcp.SenderReport{SSRC: camera, NTPTime: ntp, RTPTime: uint32(1000 + i), PacketCount: 50, OctetCount: 5000},
			&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: camera, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "camera"}}}}},
		)
	}
	say(conn, nil, &rtcp.ReceiverReport{SSRC: camera}, &rtcp.Goodbye{Sources: []uint32{microphone}})
	malformed, err := rtcp.Marshal([]rtcp.Packet{&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: camera}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append(malformed, 0, 0, 0, 0)); err != nil {
		t.Fatal(err)
	}
	flushed(t, conn, r)

	flows, err := tap.Flows()
	if err != nil {
		t.Fatal(err)
	}
	if len(flows) != 2 {
		t.Fatalf("%d flows: %+v", len(flows), flows)
	}
	for _, f := range flows {
		c := f.Control
		if f.SSRC == microphone {
			if c.PLI != 0 || c.FIR != 1 || c.BYE != 1 || c.ReceiverReports != 4 || c.Sender != nil || c.Receiver == nil || c.Receiver.CumulativeLost != 0 {
				t.Errorf("the microphone has %+v", c)
			}
			continue
		}
		if c.PLI != 5 || c.FIR != 1 || c.NACK != 1 || c.NACKPackets != 5 || c.SenderReports != 3 || c.ReceiverReports != 4 || c.BYE != 0 {
			t.Errorf("the camera has %+v", c)
		}
		if c.Sender == nil || c.Receiver == nil {
			t.Fatalf("no reports: %+v", c)
		}
		s, rr := *c.Sender, *c.Receiver
		if want := time.Unix(3_900_000_000-2208988800, 500_000_000); !s.NTP.Equal(want) || s.Timestamp != 1002 || s.Packets != 50 || s.Octets != 5000 || s.Ktime < f.Last {
			t.Errorf("sender report %+v", s)
		}
		if rr.FractionLost != 25 || rr.CumulativeLost != -2 || rr.ExtendedHighest != 70_000 || rr.Jitter != time.Millisecond {
			t.Errorf("receiver report %+v", rr)
		}
	}
	stats, err := tap.Stats()
	if err != nil || stats.MalformedControls != 1 {
		t.Errorf("%+v, %v: one packet's lengths did not add up", stats, err)
	}
}

// flushed waits until the kernel has worked through what was sent on this
// processor: what comes last has passed the tap when the receiver gets it.
func flushed(t *testing.T, conn *net.UDPConn, r *receiver) {
	t.Helper()
	if _, err := conn.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 2048)
	for {
		if err := r.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := r.conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if string(buffer[:n]) == "the end" {
			return
		}
	}
}
