package rtp

import (
	"net/netip"

	"github.com/pion/rtcp"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

// withoutPorts names a source as RTCP does, which may come by other ports.
func (k key) withoutPorts() key {
	return key{netip.AddrPortFrom(k.src.Addr(), 0), netip.AddrPortFrom(k.dst.Addr(), 0), k.ssrc}
}

const maxControls = 2 * maxFlows

// of returns what was said of a source; fromSender tells which way the packet
// went.
func (t *Table) of(p *Packet, ssrc uint32, fromSender bool) *tap.Control {
	k := key{p.Src, p.Dst, ssrc}.withoutPorts()
	if !fromSender {
		k.src, k.dst = k.dst, k.src
	}
	c := t.controls[k]
	if c == nil {
		if len(t.controls) >= maxControls {
			return new(tap.Control)
		}
		c = new(tap.Control)
		t.controls[k] = c
	}
	return c
}

// control takes RTCP that is whole: what a snap length cut is left out, as is
// what does not parse.
func (t *Table) control(p *Packet) {
	if len(p.Payload) < p.Size {
		t.cut(p)
		return
	}
	packets, err := rtcp.Unmarshal(p.Payload)
	if err != nil {
		return
	}
	for _, packet := range packets {
		t.said(p, packet)
	}
}

// cut takes those packets of a compound that are whole before the cut.
func (t *Table) cut(p *Packet) {
	for b := p.Payload; len(b) >= controlSize && b[0]>>6 == 2; {
		size := 4 * (1 + (int(b[2])<<8 | int(b[3])))
		if size > len(b) {
			return
		}
		packets, err := rtcp.Unmarshal(b[:size])
		if err != nil {
			return
		}
		for _, packet := range packets {
			t.said(p, packet)
		}
		b = b[size:]
	}
}

func (t *Table) said(p *Packet, packet rtcp.Packet) {
	switch packet := packet.(type) {
	case *rtcp.SenderReport:
		c := t.of(p, packet.SSRC, true)
		c.SenderReports++
		c.Sender = &tap.SenderReport{
			Ktime: p.At, NTP: clock.NTP(packet.NTPTime), Timestamp: packet.RTPTime, Packets: packet.PacketCount, Octets: packet.OctetCount,
		}
		t.reported(p, packet.Reports)
	case *rtcp.ReceiverReport:
		t.reported(p, packet.Reports)
	case *rtcp.Goodbye:
		for i, ssrc := range packet.Sources {
			if i == 0 { // the tap looks at one
				t.of(p, ssrc, true).BYE++
			}
		}
	case *rtcp.PictureLossIndication:
		t.of(p, packet.MediaSSRC, false).PLI++
	case *rtcp.FullIntraRequest:
		for _, entry := range packet.FIR {
			t.of(p, entry.SSRC, false).FIR++
		}
	case *rtcp.TransportLayerNack:
		c := t.of(p, packet.MediaSSRC, false)
		c.NACK++
		for i := range packet.Nacks {
			c.NACKPackets += uint64(len(packet.Nacks[i].PacketList()))
		}
	}
}

func (t *Table) reported(p *Packet, reports []rtcp.ReceptionReport) {
	for _, r := range reports {
		c := t.of(p, r.SSRC, false)
		c.ReceiverReports++
		c.Receiver = &tap.ReceiverReport{
			Ktime: p.At, FractionLost: r.FractionLost, CumulativeLost: int32(r.TotalLost<<8) >> 8, ExtendedHighest: r.LastSequenceNumber,
			Jitter: ticks(uint64(r.Jitter), clockRates[96]),
		}
	}
}
