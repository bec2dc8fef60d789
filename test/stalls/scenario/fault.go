package scenario

import (
	"math"
	"time"
)

// Kind is what goes wrong.
type Kind string

// In the network, to all streams of a group.
const (
	// OutageLoss: nothing gets through, what is sent is lost.
	OutageLoss Kind = "outage-loss"
	// OutageQueue: nothing gets through, what is sent waits in the queue.
	OutageQueue Kind = "outage-queue"
	// SqueezeStep: the bandwidth falls below the bitrate at once.
	SqueezeStep Kind = "squeeze-step"
	// SqueezeRamp: it falls over seconds.
	SqueezeRamp Kind = "squeeze-ramp"
	// LossBurst: a share of the packets is lost, at once.
	LossBurst Kind = "loss-burst"
	// LossRamp: that share grows over seconds.
	LossRamp Kind = "loss-ramp"
	// DelayStep: packets take a longer way, from one moment to the next.
	DelayStep Kind = "delay-step"
	// DelayRamp: the way becomes longer over seconds.
	DelayRamp Kind = "delay-ramp"
	// JitterStorm: the way's length varies widely.
	JitterStorm Kind = "jitter-storm"
	// Flapping: the link fails again and again, each time for longer.
	Flapping Kind = "flapping"
)

// At the camera, to one stream.
const (
	// CameraStop: no picture is taken for a while.
	CameraStop Kind = "camera-stop"
	// CameraDying: pictures come ever more slowly, then none for a while.
	CameraDying Kind = "camera-dying"
	// CameraGaps: gaps between pictures, growing.
	CameraGaps Kind = "camera-gaps"
	// EncoderStall: pictures are taken but sent late, all at once.
	EncoderStall Kind = "encoder-stall"
	// CameraRestart: it is silent, then starts anew with another SSRC.
	CameraRestart Kind = "camera-restart"
	// CameraEnd: it is never heard of again.
	CameraEnd Kind = "camera-end"
	// Pause: it says farewell (RTCP BYE), and starts anew later. No stall.
	Pause Kind = "pause"
)

// At the receiver, to one socket or to all of an application.
const (
	// ReaderStop: the application does not read for a while.
	ReaderStop Kind = "reader-stop"
	// ReaderSlow: it reads ever more slowly.
	ReaderSlow Kind = "reader-slow"
	// ReaderThrottled: it runs for a shrinking part of each 100 ms.
	ReaderThrottled Kind = "reader-throttled"
)

// Side is where a fault is.
type Side string

const (
	Network  Side = "network"
	Camera   Side = "camera"
	Receiver Side = "receiver"
)

// Side returns where faults of the kind are.
func (k Kind) Side() Side {
	switch k {
	case CameraStop, CameraDying, CameraGaps, EncoderStall, CameraRestart, CameraEnd, Pause:
		return Camera
	case ReaderStop, ReaderSlow, ReaderThrottled:
		return Receiver
	}
	return Network
}

// All is the stream number of faults that concern a whole group.
const All = -1

// Fault is one thing that goes wrong. Its strength rises from 0 to 1 over Rise,
// stays for Hold, and falls over Fall.
type Fault struct {
	Kind Kind
	// Stream is the number within the group, or All.
	Stream int
	Start  time.Duration
	Rise   time.Duration
	Hold   time.Duration
	Fall   time.Duration
	// Level is what full strength means: the bandwidth as a multiple of the
	// group's bitrate (squeezes), the share of packets lost, seconds of delay or
	// jitter, the longest gap in seconds (camera), the reading rate as a multiple
	// of the packet rate, the share of time denied (throttled).
	Level float64
	// Curve bends the rise and the fall: strength is what it would be without, to
	// the power of Curve. 0 is 1, a straight line.
	Curve float64
	// Blip marks one that is meant to be too short to matter.
	Blip bool
}

// End returns when the fault is over. Its consequences may last.
func (f Fault) End() time.Duration { return f.Start + f.Rise + f.Hold + f.Fall }

// Strength returns how strong the fault is at a time, 0 to 1.
func (f Fault) Strength(t time.Duration) float64 {
	t -= f.Start
	switch {
	case t < 0:
		return 0
	case t < f.Rise:
		return f.bend(float64(t) / float64(f.Rise))
	case t < f.Rise+f.Hold:
		return 1
	case t < f.Rise+f.Hold+f.Fall:
		return f.bend(1 - float64(t-f.Rise-f.Hold)/float64(f.Fall))
	}
	return 0
}

func (f Fault) bend(strength float64) float64 {
	if f.Curve == 0 {
		return strength
	}
	return math.Pow(strength, f.Curve)
}

// Hits reports whether the fault concerns a stream of its group.
func (f Fault) Hits(stream int) bool { return f.Stream == All || f.Stream == stream }
