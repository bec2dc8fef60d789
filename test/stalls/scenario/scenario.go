// Package scenario draws, from a seed, who sends what over which link to whom,
// and what goes wrong when.
//
// The same seed gives the same scenario, for ever: what it is drawn from may
// only be changed together with all figures that were published.
package scenario

import (
	"net/netip"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/frames"
)

// Media is what a stream carries.
type Media string

const (
	Video Media = "video"
	Audio Media = "audio"
)

// Stream is a sender of RTP.
type Stream struct {
	Media     Media
	Src, Dst  netip.AddrPort
	SSRC      uint32
	Sequence  uint16 // of the first packet
	Timestamp uint32 // of the first frame
	// PayloadType and ClockRate are RTP's.
	PayloadType uint8
	ClockRate   uint32
	// Interval is the nominal time between frames.
	Interval time.Duration
	Bitrate  float64 // bits per second of payload, nominal
	// Clip is where frame sizes come from, from frame First on; Scale makes
	// Bitrate of them, and KeyScale is applied to key frames beforehand.
	Clip            frames.Clip
	First           int
	Scale, KeyScale float64
	// Start is when the first frame is sent; negative if the stream is older than
	// the capture.
	Start time.Duration
	// Drift is how much slower than true the source's clock runs, as a share.
	Drift float64
	// Counted is set where the source's clock counts frames, not time: what it
	// did not take it does not miss.
	Counted bool
	// Stamped is set where timestamps are taken from the encoder's clock when it is
	// done, not from the camera's: they wobble as the frames do.
	Stamped bool
	// Wobble is the mean of what the encoder adds to each frame's time.
	Wobble time.Duration
	// Spread is the share of Interval over which a frame's packets are sent; 0 is
	// a burst at line rate.
	Spread float64
	// Payload is the most bytes of media in a packet.
	Payload int
	// ReportPort is where its RTCP goes; 0 for none.
	ReportPort uint16
}

// Link is what a group's packets pass.
type Link struct {
	BitsPerSecond float64
	QueueBytes    float64
	// Delay is what every packet takes, Jitter the mean of what it takes beyond.
	Delay, Jitter time.Duration
	// Loss, Reorder and Duplicate are the shares of packets that meet that fate
	// while nothing is wrong.
	Loss, Reorder, Duplicate float64
}

// App reads a group's sockets, each by a thread of its own.
type App struct {
	// Poll is how often it looks; 0 if it is woken by each packet.
	Poll time.Duration
	// Buffer is each socket's receive buffer, in the kernel's bytes (truesize).
	Buffer int
	// Load is the share of a CPU that it takes to deal with a stream.
	Load float64
}

// Group is streams that share a link and an application.
type Group struct {
	Seed    uint64
	Streams []Stream
	Link    Link
	App     App
	Faults  []Fault
}

// Bitrate returns the sum of the group's nominal bitrates.
func (g Group) Bitrate() float64 {
	sum := 0.0
	for _, s := range g.Streams {
		sum += s.Bitrate
	}
	return sum
}

// Scenario is everything that one capture file shows.
type Scenario struct {
	Seed     uint64
	Duration time.Duration
	Groups   []Group
}
