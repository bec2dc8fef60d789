package qos

import "github.com/debugsidecar/debugsidecar/sidecar/sample"

var (
	noKeys     = sample.Unavailable("key frames are known of RTP in UDP and of an own session, not of RTP in TCP")
	noKeyYet   = sample.Unavailable("no key frame came yet")
	noGOPYet   = sample.Unavailable("no two key frames came yet")
	noKeyAudio = sample.Unavailable("the stream is audio")
)

// keys takes the interval's key frames.
func (m *Meter) keys(media *sample.Media) {
	if !media.Keys.Known || media.Restarted {
		m.keyAt, m.gop, m.gopFrames = 0, 0, 0
	}
	if !media.Keys.Known {
		return
	}
	m.keyAt = media.Keys.At
	if media.Keys.GOP > 0 {
		m.gop, m.gopFrames = media.Keys.GOP, media.Keys.GOPFrames
	}
}

func (m *Meter) keyFigures(s *sample.Sample, w *Window) {
	all := func(f sample.Figure) { w.GOPFrames, w.GOPSeconds, w.KeyFrameGapSeconds = f, f, f }
	switch keys := &s.Media.Keys; {
	case s.Media.Audio:
		all(noKeyAudio)
		return
	case !keys.Known && keys.Why == "":
		all(noKeys)
		return
	case !keys.Known:
		all(sample.Unavailable(keys.Why))
		return
	}
	all(noKeyYet)
	if m.keyAt == 0 {
		return
	}
	w.KeyFrameGapSeconds = sample.Of(max(float64(int64(s.At)-int64(m.keyAt))/1e9, 0))
	w.GOPFrames, w.GOPSeconds = noGOPYet, noGOPYet
	if m.gop > 0 {
		w.GOPFrames, w.GOPSeconds = sample.Of(m.gopFrames), sample.Of(m.gop.Seconds())
	}
}

// KeysNeed says what keeps key frames from being known; nothing where they are,
// or will be with the next ones, or where there are none, as in audio.
func (w *Window) KeysNeed() string {
	why := w.KeyFrameGapSeconds.Why()
	for _, f := range []sample.Figure{noMedia, noKeyAudio, noKeyYet} {
		if why == f.Why() {
			return ""
		}
	}
	return why
}
