package rtp

import (
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

const (
	// recognised is how many packets have to agree on a codec, surplus how many
	// more are kept in favour of it.
	recognised = 16
	surplus    = 16
	// objection is what a packet that can't be of the codec costs it. So encrypted
	// payload, of which one in twenty looks right, never gets there.
	objection = 8
)

// keys follows which codec a flow's payload is of, and its key frames. Without
// SDP the payload itself has to tell.
type keys struct {
	codec     tap.Codec // the likely one; 0 is none
	score     uint8
	read      bool
	count     uint64
	timestamp uint32
	at        clock.Ktime
	frames    uint64
}

// take takes a packet's media, of which a capture may have cut the end; frames
// is the flow's with this packet.
func (k *keys) take(media payload, timestamp uint32, frames uint64, at clock.Ktime) {
	if len(media.bytes) < 3 || len(media.bytes) < 8 && len(media.bytes) < media.size {
		return // nothing, or too little to judge
	}
	k.read = true
	n := media.recognise(k.codec)
	if n.codec != k.codec {
		if k.score > objection {
			k.score -= objection
			return
		}
		*k = keys{codec: n.codec, read: true}
	}
	if n.codec == 0 {
		return
	}
	if n.slice && k.score < recognised+surplus {
		k.score++
	}
	if n.key && (k.count == 0 || k.timestamp != timestamp) {
		k.count++
		k.timestamp, k.at, k.frames = timestamp, at, frames
	}
}

// begins says whether media is the first of a picture, if the codec is known.
func (k *keys) begins(media payload) (begins, legible bool) {
	if k.codec == 0 || k.score < recognised {
		return false, false
	}
	if len(media.bytes) < 3 || len(media.bytes) < 8 && len(media.bytes) < media.size {
		return false, true
	}
	if k.codec == tap.H264 {
		return media.h264().first, true
	}
	return media.h265().first, true
}

func (k *keys) told() tap.Keys {
	switch {
	case !k.read:
		return tap.Keys{}
	case k.score < recognised:
		return tap.Keys{Codec: tap.Unrecognised}
	}
	return tap.Keys{Codec: k.codec, Count: k.count, Timestamp: k.timestamp, At: k.at, Frames: k.frames}
}

// Why a flow's key frames are not known.
const (
	unread       = "the payload is not read: its clock rate is not video's 90 kHz, or a capture cut it off"
	unrecognised = "the payload is not recognised as H.264 or H.265: it is of another codec, encrypted, or too little came"
)

// keys returns the key frames that came since the snapshot before.
func (m *Meter) keys(f *tap.Flow) sample.Keys {
	switch f.Keys.Codec {
	case tap.Unread:
		return sample.Keys{Why: unread}
	case tap.Unrecognised:
		return sample.Keys{Why: unrecognised}
	}
	before := &m.prev.Keys
	keys := sample.Keys{Known: true, At: f.Keys.At}
	if before.Codec != f.Keys.Codec || f.Keys.Count < before.Count {
		keys.Count = f.Keys.Count
		return keys
	}
	keys.Count = f.Keys.Count - before.Count
	ticks := int32(f.Keys.Timestamp - before.Timestamp)
	if n := keys.Count; n > 0 && before.Count > 0 && ticks > 0 && f.Restarts == m.prev.Restarts {
		keys.GOPFrames = float64(f.Keys.Frames-before.Frames) / float64(n)
		keys.GOP = m.rate.duration(int64(ticks)) / time.Duration(n)
	}
	return keys
}
