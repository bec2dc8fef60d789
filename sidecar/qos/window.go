// Package qos sums up a stream over the last ten seconds, in the field's own
// measures.
package qos

import "github.com/debugsidecar/debugsidecar/sidecar/sample"

// Window is a stream over the last ten seconds. What the tier can't know, or
// what the transport does not have, is not available.
type Window struct {
	// BitsPerSecond counts from IP's header on.
	BitsPerSecond   sample.Figure `json:"bitsPerSecond"`
	FramesPerSecond sample.Figure `json:"framesPerSecond"`
	PacketLoss      sample.Figure `json:"packetLoss"`    // share of the packets expected
	JitterSeconds   sample.Figure `json:"jitterSeconds"` // RFC 3550, A.8
	PLIPerSecond    sample.Figure `json:"pliPerSecond"`
	NACKPerSecond   sample.Figure `json:"nackPerSecond"`
	// IntervalDeviation is the mean of |interval - nominal| / nominal over frames,
	// or over samples where single frames are not seen.
	IntervalDeviation sample.Figure `json:"intervalDeviation"`
	// NominalIntervalSeconds is the frame interval of the last good period.
	NominalIntervalSeconds sample.Figure `json:"nominalIntervalSeconds"`
	// Freezes and FrozenSeconds are W3C webrtc-stats' freezeCount and
	// totalFreezesDuration, with the interval of the last good period.
	Freezes       sample.Figure `json:"freezes"`
	FrozenSeconds sample.Figure `json:"frozenSeconds"`
	// GOPFrames and GOPSeconds are the distance of the two newest key frames, in
	// frames that arrived and on the stream's own clock.
	GOPFrames  sample.Figure `json:"gopFrames"`
	GOPSeconds sample.Figure `json:"gopSeconds"`
	// KeyFrameGapSeconds is how long ago the newest key frame began to arrive.
	KeyFrameGapSeconds sample.Figure `json:"keyFrameGapSeconds"`
	// LagSeconds is how far the newest frame is behind the best it has been.
	LagSeconds sample.Figure `json:"lagSeconds"`
	// KernelDrops were of this stream, on this node.
	KernelDrops sample.Figure `json:"kernelDrops"`
	// SocketQueueBytes is the most that waited.
	SocketQueueBytes sample.Figure `json:"socketQueueBytes"`
	// Black, FrozenPicture and Artefacts are shares of the sampled frames.
	Black         sample.Figure `json:"sampledBlack"`
	FrozenPicture sample.Figure `json:"sampledFrozen"`
	Artefacts     sample.Figure `json:"sampledArtefacts"`
}
