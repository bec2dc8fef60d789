// Package sample is what the probe learns of a stream in a tenth of a second:
// the one form in which the kernel's tap, a capture file, a capture session and
// the machine's own readings reach the detectors.
//
// Samples are values without clocks or handles, so that hours of a stream replay
// in moments.
package sample

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

// Interval is how often a stream is sampled.
const Interval = 100 * time.Millisecond

// Stream names a stream: an RTP source as its receiver sees it.
type Stream struct {
	Src, Dst netip.AddrPort
	SSRC     uint32
	// Source is the masked URL of the probe's own session, or a camera's device;
	// neither has addresses. SSRC is 0 or, for a device, the queue's number.
	Source string
}

// String returns the receiver's "ip:port", or the session's URL.
func (s Stream) String() string {
	if s.Source != "" {
		return s.Source
	}
	return s.Dst.String()
}

// Key returns a name that no other stream has at the same time.
func (s Stream) Key() string {
	switch {
	case s.Source != "" && s.SSRC != 0:
		return fmt.Sprintf("%s#%d", s.Source, s.SSRC)
	case s.Source != "":
		return s.Source
	}
	return fmt.Sprintf("%s>%s/%08x", s.Src, s.Dst, s.SSRC)
}

// Sample is one stream over one Interval. Counts are what was added in it.
type Sample struct {
	// At is the interval's end.
	At      clock.Ktime
	Media   Media
	Kernel  Kernel
	Socket  Socket
	Session Session
	Node    Node
}

// Media is what of the stream arrived.
type Media struct {
	// Known is false where nothing tells what arrives: no tap, no session. Then
	// all else is 0 and means nothing.
	Known bool
	// Reliable is set where the transport hides loss (RTP in TCP, a session):
	// then Lost says nothing of the network, delay does.
	Reliable bool

	Packets, Bytes, Frames uint64
	// Lost is sequence numbers that are missing; negative when overtaken packets
	// came after all.
	Lost int64
	// Gaps is how often sequence numbers were skipped: how Lost is spread. Told is
	// set where each of them is told of, so that Hole has all that the network lost.
	Gaps uint64
	Told bool
	// Hole is where pictures are missing, as far as it is known which. Dropped is how
	// many packets, of those that came and were dropped then, it has.
	Hole                  Hole
	Dropped               uint64
	Wait                  Wait
	Reordered, Duplicates uint64
	Keys                  Keys
	// Jitter is the interarrival jitter of RFC 3550, A.8, as it stands.
	Jitter time.Duration
	// Newest is the newest frame's time on the stream's own clock, 0 being the
	// first frame's; NewestAt is when its latest packet arrived. They stand still
	// while nothing comes. Their difference is how far the stream lags.
	Newest   time.Duration
	NewestAt clock.Ktime
	// Audio is set for a flow that was recognised as audio: it has no picture that
	// could stall.
	Audio bool
	// Restarted is set when the source began anew: Newest has no relation to what
	// it was before, and is 0 at the new first frame.
	Restarted bool
	// Replaced is set once another source sends in this one's place: viewers go on
	// with that, and nothing of this one is missed.
	Replaced bool
	// Ended is set once, when the source said farewell or was silent for so long
	// that it is forgotten.
	Ended bool
	// Control says whether RTCP feedback was ever seen; without, the three
	// counts are not available.
	Control        bool
	PLI, FIR, NACK uint64
}

// Hole is a part of the stream's time without a whole picture: From the last one
// before to the first one after. Its zero value is none.
type Hole struct {
	From, To time.Duration
	// Probability is that of all of it. Sure is set where that is not because its
	// packets may still come: they came, and were dropped.
	Probability float64
	Sure        bool
}

// Wait is a time in which no picture became whole: from Since, when the last
// packet of one came, to Until, when that of the next did. Before and After are these
// pictures' times on the stream's own clock. Its zero value is none.
type Wait struct {
	Since, Until  clock.Ktime
	Before, After time.Duration
}

// Keys are the key frames of an RTP flow.
type Keys struct {
	// Known is false where they are not recognised; Why says why.
	Known bool
	Why   string
	// Count is how many began in the interval, At when the newest did; 0 before
	// the first.
	Count uint64
	At    clock.Ktime
	// GOPFrames and GOP are the mean distance of the interval's key frames from
	// those before, in frames and on the stream's own clock; 0 if none has one.
	GOPFrames float64
	GOP       time.Duration
}

// Kernel is the stream's packets that this node's kernel dropped.
type Kernel struct {
	Known bool
	Drops uint64
	// Reason is that of most of them, as SOCKET_RCVBUFF.
	Reason string
}

// Socket is the receiver's socket, as /proc/net/udp or tcp has it.
type Socket struct {
	Known bool
	// Queue is bytes that wait to be read.
	Queue uint64
	// Drops is datagrams dropped at it.
	Drops uint64
}

// Session is the probe's own capture of the stream.
type Session struct {
	// Open says whether there is one.
	Open bool
	// Frames were decoded, Late dropped after decoding, Errors refused by the
	// decoder.
	Frames, Late, Errors uint64
	// Age is how old the last frame is, in seconds.
	Age Figure
	// Black, Frozen and Artefacts are shares of 0 to 1 of the frames checked;
	// only some frames are.
	Black, Frozen, Artefacts Figure
	// DecodeSeconds is the mean time that decoding took.
	DecodeSeconds Figure
}

// Node is what may harm any stream here. Each figure's scope is in its name.
type Node struct {
	// SidecarThrottled is the share of the interval in which the sidecar's own
	// control group was denied the CPU; AppThrottled is the application's, where
	// it can be read.
	SidecarThrottled Figure `json:"sidecarThrottled"`
	AppThrottled     Figure `json:"appThrottled"`
	// SidecarCPUPressure and SidecarMemoryPressure are the pressure stall information
	// ("some", avg10) of the sidecar's control group, Node* the
	// machine's, in percent.
	SidecarCPUPressure    Figure `json:"sidecarCPUPressurePercent"`
	SidecarMemoryPressure Figure `json:"sidecarMemoryPressurePercent"`
	NodeCPUPressure       Figure `json:"nodeCPUPressurePercent"`
	NodeMemoryPressure    Figure `json:"nodeMemoryPressurePercent"`
	// GCPauseSeconds is the longest pause of our own collector in the interval.
	GCPauseSeconds Figure `json:"gcPauseSeconds"`
	// LateSeconds is how late this very sample was taken.
	LateSeconds Figure `json:"lateSeconds"`
}
