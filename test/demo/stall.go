package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// The stream: a camera of 25 frames a second, whose network after 20 s carries
// only 15 in 100 of what is sent. Each second the picture falls 0.85 s behind; so a
// viewer's buffer of 4 s is empty after 4.7 s, and then pictures come one by one.
const (
	cameraInterval  = 40 * time.Millisecond
	squeezedAfter   = 20 * time.Second
	carried         = 0.15 // of what is sent
	viewersBuffer   = 4 * time.Second
	captureLasts    = 30 * time.Second
	packetsPerFrame = 8
)

var captureBegan = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// stall replays a stream that is squeezed through the detectors.
func (s *show) stall(ctx context.Context) error {
	s.heading("5. It sees a stall coming")
	file := filepath.Join("bin", "squeezed.pcap")
	if err := writeCapture(filepath.Join(s.root, file)); err != nil {
		return err
	}
	s.say("A capture of a camera whose network, after 20 s, carries only 15 % of what it sends:")
	s.typed("sidecar replay --buffer 4 " + file)
	out, err := s.command(ctx, filepath.Join(s.root, "bin", "sidecar"), "replay", "--buffer", "4", filepath.Join(s.root, file))
	if err != nil {
		return fmt.Errorf("replay: %w: %s", err, out)
	}
	s.quote(out)
	alerts, err := s.command(ctx, filepath.Join(s.root, "bin", "sidecar"), "replay", "--json", "--buffer", "4", filepath.Join(s.root, file))
	if err != nil {
		return fmt.Errorf("replay: %w: %s", err, alerts)
	}
	var first time.Time
	for line := range bytes.Lines([]byte(alerts)) {
		var a struct {
			TS   time.Time
			Kind string
		}
		if err := json.Unmarshal(line, &a); err != nil {
			return fmt.Errorf("replay: %w: %s", err, line)
		}
		if a.Kind == "stall-predicted" && first.IsZero() {
			first = a.TS
		}
	}
	behind := 1 - carried // of each second
	runsDry := squeezedAfter + time.Duration(viewersBuffer.Seconds()/behind*float64(time.Second))
	lead := captureBegan.Add(runsDry).Sub(first)
	s.claim(!first.IsZero() && lead > 0 && lead < runsDry-squeezedAfter, "it warned %.1f s before the viewers' buffer of 4 s was empty", lead.Seconds())
	return nil
}

func writeCapture(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := pcapgo.NewWriter(file)
	if err := w.WriteFileHeader(65536, layers.LinkTypeRaw); err != nil {
		return err
	}
	ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(192, 0, 2, 9), DstIP: net.IPv4(192, 0, 2, 7)}
	udp := layers.UDP{SrcPort: 40022, DstPort: 5004}
	if err := udp.SetNetworkLayerForChecksum(&ip); err != nil {
		return err
	}
	buffer := gopacket.NewSerializeBuffer()
	rtp := make([]byte, 1200)
	rtp[0] = 0x80
	binary.BigEndian.PutUint32(rtp[8:], 0xcafe)
	var seq uint16
	for sent := time.Duration(0); ; sent += cameraInterval {
		for i := range packetsPerFrame {
			// Over half of the interval, as senders pace.
			arrives := sent + time.Duration(i)*cameraInterval/(2*packetsPerFrame)
			if arrives > squeezedAfter {
				arrives = squeezedAfter + time.Duration(float64(arrives-squeezedAfter)/carried)
			}
			if arrives > captureLasts {
				return nil
			}
			binary.BigEndian.PutUint16(rtp[2:], seq)
			seq++
			binary.BigEndian.PutUint32(rtp[4:], uint32(sent.Seconds()*90000))
			rtp[1] = 96
			if i == packetsPerFrame-1 {
				rtp[1] |= 0x80
			}
			options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
			if err := gopacket.SerializeLayers(buffer, options, &ip, &udp, gopacket.Payload(rtp)); err != nil {
				return err
			}
			packet := buffer.Bytes()
			info := gopacket.CaptureInfo{Timestamp: captureBegan.Add(arrives), CaptureLength: len(packet), Length: len(packet)}
			if err := w.WritePacket(info, packet); err != nil {
				return err
			}
		}
	}
}
