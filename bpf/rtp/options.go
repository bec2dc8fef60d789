package rtp

import (
	"errors"
	"fmt"
	"time"
)

// Mode is where the tap looks at packets.
type Mode int

const (
	// Auto is Packet.
	Auto Mode = iota
	// Packet is an AF_PACKET socket that keeps nothing: all interfaces, also
	// those that come later. It needs CAP_NET_RAW.
	Packet
	// TCX is programs at each interface. It needs CAP_NET_ADMIN and Linux 6.6.
	TCX
)

// String returns packet or tcx.
func (m Mode) String() string {
	if m == TCX {
		return "tcx"
	}
	return "packet"
}

// Options of Open. The zero value watches the caller's network namespace.
type Options struct {
	// Netns is the path of the network namespace, as /proc/PID/ns/net. Another
	// one than the caller's needs CAP_SYS_ADMIN. Default: the caller's.
	Netns string
	// Ports are the UDP ports (and TCP ports, for RTSP) that are looked at; at
	// most 1024. RTCP may be on the next one. Default: all from 1024 on, with
	// the heuristic.
	Ports []uint16
	// PayloadTypes are the only ones that are looked at. Default: all.
	PayloadTypes []uint8
	// ClockRates are those of dynamic payload types, in Hz. RFC 3551 has the
	// static ones; any other is taken for video's 90000.
	ClockRates map[uint8]uint32
	// Mode is where the tap looks.
	Mode Mode
	// MaxFlows bounds how many flows are known at a time; each takes 500 bytes.
	// Default 4096.
	MaxFlows int
	// IdleTimeout is how long a flow may be silent before Flows reports it as
	// ended, and forgets it. Default 1 minute.
	IdleTimeout time.Duration
	// RingBytes is the size of the ring of gaps, a power of two and a multiple
	// of the page size. Default 256 KiB.
	RingBytes int
}

const maxPorts = 1024

func (o *Options) check() error {
	if o.MaxFlows == 0 {
		o.MaxFlows = 4096
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = time.Minute
	}
	if o.RingBytes == 0 {
		o.RingBytes = 256 << 10
	}
	switch {
	case o.MaxFlows < 0 || o.MaxFlows > 1<<20:
		return fmt.Errorf("%d flows: 1 to %d can be watched", o.MaxFlows, 1<<20)
	case o.IdleTimeout < 0:
		return errors.New("the idle timeout is negative")
	case len(o.Ports) > maxPorts:
		return fmt.Errorf("%d ports: at most %d can be watched", len(o.Ports), maxPorts)
	}
	for pt, rate := range o.ClockRates {
		if pt > 127 || rate == 0 || rate > 10_000_000 {
			return fmt.Errorf("payload type %d with a clock of %d Hz", pt, rate)
		}
	}
	for _, pt := range o.PayloadTypes {
		if pt > 127 {
			return fmt.Errorf("payload type %d: the highest is 127", pt)
		}
	}
	return nil
}

// videoRate is the clock rate of all video (RFC 3551, section 5).
const videoRate = 90000

// staticRates are those of RFC 3551, tables 4 and 5, but for 90000 Hz.
var staticRates = map[int]uint32{
	0: 8000, 3: 8000, 4: 8000, 5: 8000, 6: 16000, 7: 8000, 8: 8000, 9: 8000, 10: 44100, 11: 44100, 12: 8000,
	13: 8000, 15: 8000, 16: 11025, 17: 22050, 18: 8000,
}

// staticVideo are the static payload types with 90000 Hz.
var staticVideo = map[uint8]bool{14: true, 25: true, 26: true, 28: true, 31: true, 32: true, 33: true, 34: true}

// rates returns the clock rate of each payload type, 0 for one that is not
// looked at: those that RTCP takes (RFC 5761, section 4) are not.
func (o *Options) rates() (rates [128]uint32) {
	for pt := range rates {
		rates[pt] = videoRate
		if rate, ok := staticRates[pt]; ok {
			rates[pt] = rate
		}
	}
	for pt, rate := range o.ClockRates {
		rates[pt] = rate
	}
	if len(o.PayloadTypes) > 0 {
		all := rates
		rates = [128]uint32{}
		for _, pt := range o.PayloadTypes {
			rates[pt] = all[pt]
		}
	}
	for pt := 64; pt < 96; pt++ {
		rates[pt] = 0
	}
	return rates
}

// assumed says whether nobody told the clock rate of a payload type.
func (o *Options) assumed(pt uint8) bool {
	_, configured := o.ClockRates[pt]
	_, static := staticRates[int(pt)]
	return !configured && !static && !staticVideo[pt]
}
