package rtp

import (
	"net/netip"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

// Direction is which way a flow's packets go, as the namespace sees it.
type Direction uint8

const (
	// Ingress packets arrive; those on loopback as well.
	Ingress Direction = iota
	// Egress packets leave.
	Egress
)

// String returns ingress or egress.
func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// Flow is one source of RTP as one interface sees it, since its first packet.
type Flow struct {
	SSRC      uint32
	Src, Dst  netip.AddrPort
	Interface int
	Direction Direction
	// PayloadType is that of the last packet. ClockRate, in Hz, is known,
	// configured, or assumed to be video's.
	PayloadType uint8
	ClockRate   uint32
	RateAssumed bool

	// Packets is all that came, Bytes their length from IP's header on.
	Packets, Bytes uint64
	// Lost is sequence numbers that never came; packets that are overtaken
	// count until they come.
	Lost uint64
	// Reordered came after a higher sequence number, Duplicates a second time.
	Reordered, Duplicates uint64
	// Outliers are out of any sequence; Restarts is how often a new one began.
	Outliers, Restarts uint64
	// Gaps is how often sequence numbers were skipped.
	Gaps uint64
	// Frames is distinct RTP timestamps, Markers packets with the marker bit.
	Frames, Markers uint64
	// Contended packets are in none of the other figures: another CPU held the
	// flow too long.
	Contended uint64
	// Jitter is the interarrival jitter of RFC 3550, A.8.
	Jitter time.Duration
	// First and Last are when packets came, Timestamp the RTP timestamp of the
	// last one: together with ClockRate they are a clock.RTP.
	First, Last clock.Ktime
	Timestamp   uint32
	// Waits is how often longer than WaitFrom passed without a whole picture; Wait is
	// the latest such time. It is known when the picture after it begins.
	Waits uint64
	Wait  Wait
	// Keys are the key frames.
	Keys Keys
	// Control is what RTCP said.
	Control Control
	// Ended is set when the flow was silent for Options.IdleTimeout: these are
	// its last figures.
	Ended bool
}

// WaitFrom is how long no picture becomes whole until it is a Wait.
const WaitFrom = 100 * time.Millisecond

// Wait is a time in which no picture became whole: from the last packet of one to
// the last one of the next, with the RTP timestamps of both. A picture of which
// packets are missing is none. What is told of gaps in the sequence (Gap) says
// which pictures those are.
type Wait struct {
	From, To      clock.Ktime
	Before, After uint32
}

// Clock ties the flow's timestamps to the kernel's clock, by its last packet.
func (f *Flow) Clock() clock.RTP {
	return clock.RTP{Ktime: f.Last, Timestamp: f.Timestamp, Rate: f.ClockRate}
}

// Control is what the ends of a flow told each other by RTCP.
type Control struct {
	// PLI and FIR asked for a whole picture (RFC 4585, 6.3.1; RFC 5104, 4.3.1),
	// NACK for NACKPackets packets in all (RFC 4585, 6.2.1).
	PLI, FIR, NACK, NACKPackets uint64
	// SenderReports and ReceiverReports were seen, BYE said farewell.
	SenderReports, ReceiverReports, BYE uint64
	// Sender is the last sender report, Receiver the last report block; nil if
	// there was none.
	Sender   *SenderReport
	Receiver *ReceiverReport
}

// SenderReport is what a source says of itself (RFC 3550, 6.4.1).
type SenderReport struct {
	Ktime clock.Ktime
	// NTP is the sender's wall clock at Timestamp.
	NTP             time.Time
	Timestamp       uint32
	Packets, Octets uint32
}

// ReceiverReport is what a receiver says of a source (RFC 3550, 6.4.1).
type ReceiverReport struct {
	Ktime clock.Ktime
	// FractionLost is of 256, since the report before.
	FractionLost uint8
	// CumulativeLost is negative when more came than was expected.
	CumulativeLost  int32
	ExtendedHighest uint32
	Jitter          time.Duration
}

// Gap is sequence numbers that were skipped. They may still come: then another
// Gap says so, with Filled.
type Gap struct {
	Ktime     clock.Ktime
	SSRC      uint32
	Src, Dst  netip.AddrPort
	Interface int
	Direction Direction
	// First is the first sequence number that is missing, Count how many are.
	First uint16
	Count int
	// Before and After are the RTP timestamps of the packets around it, as far as
	// they were known then: the highest before and the one that showed the gap.
	Before, After uint32
	// Ends is set if the packet before the gap has the marker bit, which video's
	// payload formats set on a picture's last packet. Legible is set if the codec is
	// recognised; then Begins says whether the packet after the gap begins a picture.
	Ends, Legible, Begins bool
	// Filled is set when these numbers, told as missing before, came after all:
	// First is one packet, and Before and After are its timestamp.
	Filled bool
}

func addresses(k *tapFlowKey) (src, dst netip.AddrPort) {
	if k.Family == 4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(k.Saddr[:4])), k.Sport),
			netip.AddrPortFrom(netip.AddrFrom4([4]byte(k.Daddr[:4])), k.Dport)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(k.Saddr), k.Sport), netip.AddrPortFrom(netip.AddrFrom16(k.Daddr), k.Dport)
}

func makeFlow(k *tapFlowKey, f *tapFlow) Flow {
	flow := Flow{
		SSRC: k.Ssrc, Interface: int(k.Ifindex), Direction: Direction(k.Direction),
		PayloadType: f.PayloadType, ClockRate: f.Rate,
		Packets: f.Packets, Bytes: f.Bytes, Lost: f.LostBefore,
		Reordered: f.Reordered, Duplicates: f.Duplicates, Outliers: f.Outliers, Restarts: f.Restarts,
		Gaps: f.Gaps, Frames: f.Frames, Markers: f.Markers, Contended: f.Contended,
		Jitter: ticks(f.Jitter, f.Rate*jitterParts),
		First:  clock.Ktime(f.FirstKtime), Last: clock.Ktime(f.LastKtime), Timestamp: f.Timestamp,
		Waits: f.Waits,
		Wait:  Wait{clock.Ktime(f.Wait.From), clock.Ktime(f.Wait.To), f.Wait.Before, f.Wait.After},
		Keys:  makeKeys(f),
	}
	flow.Src, flow.Dst = addresses(k)
	if expected := f.Max - f.Base + 1; expected > f.Unique {
		flow.Lost += expected - f.Unique
	}
	return flow
}

// jitterParts is how many parts of a tick the kernel part counts jitter in.
const jitterParts = 256

// ticks returns n of a clock's ticks as time.
func ticks(n uint64, rate uint32) time.Duration {
	if rate == 0 {
		return 0
	}
	return time.Duration(n*uint64(time.Second)/uint64(rate)) * time.Nanosecond
}

func makeControl(c *tapControl, rate uint32) Control {
	control := Control{
		PLI: c.Pli, FIR: c.Fir, NACK: c.Nack, NACKPackets: c.NackPackets,
		SenderReports: c.SenderReports, ReceiverReports: c.ReceiverReports, BYE: c.Byes,
	}
	if c.SenderReports > 0 {
		control.Sender = &SenderReport{
			Ktime: clock.Ktime(c.SenderKtime), NTP: clock.NTP(c.Ntp), Timestamp: c.RtpTimestamp,
			Packets: c.SenderPackets, Octets: c.SenderOctets,
		}
	}
	if c.ReceiverReports > 0 {
		control.Receiver = &ReceiverReport{
			Ktime: clock.Ktime(c.ReceiverKtime), FractionLost: uint8(c.FractionLost),
			CumulativeLost:  int32(c.CumulativeLost<<8) >> 8, // 24 bits with a sign
			ExtendedHighest: c.ExtendedHighest, Jitter: ticks(uint64(c.ReportedJitter), rate),
		}
	}
	return control
}
