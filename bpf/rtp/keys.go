package rtp

import "github.com/debugsidecar/debugsidecar/bpf/clock"

// Codec is what a flow's payload was recognised as.
type Codec uint8

const (
	// Unread means that the payload is not looked at, since the flow's clock rate
	// is not video's 90 kHz, or that there is none to look at.
	Unread Codec = iota
	// Unrecognised payload is of another codec, encrypted, or too little so far.
	Unrecognised
	// H264 is RFC 6184's payload, H265 RFC 7798's.
	H264
	H265
)

// String returns the codec's name as media types have it.
func (c Codec) String() string {
	return [...]string{"unread", "unrecognised", "H264", "H265"}[c&3]
}

// recognised is how many packets with parts of pictures have to agree on a codec,
// less eight for each that objects (keys.h).
const recognised = 16

// Keys are a flow's key frames. All but Codec is 0 unless that is H264 or H265.
type Keys struct {
	Codec Codec
	// Count is key frames since the flow's first packet.
	Count uint64
	// Timestamp is the RTP timestamp of the newest, At when its first packet that
	// tells came, Frames what Flow.Frames was then.
	Timestamp uint32
	At        clock.Ktime
	Frames    uint64
}

func makeKeys(f *tapFlow) Keys {
	switch k := &f.Keys; {
	case k.Read == 0:
		return Keys{}
	case k.Score < recognised:
		return Keys{Codec: Unrecognised}
	default:
		// The kernel counts codecs from 0, which is none.
		return Keys{
			Codec: Unrecognised + Codec(k.Codec), Count: k.Count,
			Timestamp: k.Timestamp, At: clock.Ktime(k.Ktime), Frames: k.Frames,
		}
	}
}
