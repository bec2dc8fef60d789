package probe

import (
	"fmt"
	"maps"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/sidecar/guard"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// ownSession is the probe's own capture, seen as one more stream.
type ownSession struct {
	player *player
	source string // with its password
	id     sample.Stream
	mode   string

	before  capture.Snapshot
	played  bool          // a session, of this capture or of one before
	anchor  time.Duration // the session's first PTS that was seen
	checked share
	damage  capture.Box // that was told last
	last    capture.Cause
	lastWhy string
}

// sessionSample is one tick of it.
type sessionSample struct {
	id      sample.Stream
	media   sample.Media
	session sample.Session
	// cause and why say whose fault it is that there are no pictures; empty while
	// there are, or while nobody wants any.
	cause warn.Cause
	why   string
	// tries is how many sessions failed.
	tries uint64
}

// explain puts what the session's end says into a verdict: who sees no picture
// at all knows more than who sees none coming.
func (s *sessionSample) explain(v *warn.Verdict, alerts []warn.Alert) {
	if s.cause == "" {
		return
	}
	if v.Health != warn.Poor {
		v.Health = warn.Unusable
	}
	v.Cause = s.cause
	v.Evidence = maps.Clone(v.Evidence)
	if v.Evidence == nil {
		v.Evidence = map[string]warn.Evidence{}
	}
	v.Evidence["session"] = warn.Evidence{Value: float64(s.tries), Unit: "failures", Scope: warn.OwnSession, Detail: s.why}
	for i := range alerts {
		if alerts[i].Cause == warn.Unclear {
			alerts[i].Cause = s.cause
		}
	}
}

// causes are the capture's in the probe's words. A source that refuses our
// password, or that may not be opened, is named wrongly: that is the camera's end.
var causes = map[capture.Cause]warn.Cause{
	capture.Camera: warn.Camera, capture.Network: warn.Network, capture.Decoder: warn.Decoder,
	capture.Credentials: warn.Camera, capture.Refused: warn.Camera,
}

// share remembers checks of pictures over the last seconds, since only some
// frames are checked.
type share struct {
	black, frozen, artefacts sample.Figure
	from                     capture.Snapshot
	at                       clock.Ktime
}

// checksOver is the time that shares of checked frames are of.
const checksOver = 5 * time.Second

func (o *ownSession) sample(now clock.Ktime) *sessionSample {
	return o.take(now, o.player.capture().Snapshot())
}

// take makes a sample of what is added since the snapshot before.
func (o *ownSession) take(now clock.Ktime, s capture.Snapshot) *sessionSample {
	b := o.before
	if s.Frames < b.Frames || s.Sessions < b.Sessions {
		b = capture.Snapshot{State: b.State} // it was replaced
	}
	o.before = s
	out := &sessionSample{id: o.id}
	open := s.State == capture.Playing || s.State == capture.Stalled
	if s.State == capture.Stalled || s.State == capture.Waiting || s.State == capture.Opening && s.Restarts > 0 {
		out.cause, out.why, out.tries = causes[o.lastCause(&s)], o.lastWhy, s.Restarts
	}
	out.session.Open = open
	o.checks(now, &s)
	out.session.Black, out.session.Frozen, out.session.Artefacts = o.checked.black, o.checked.frozen, o.checked.artefacts
	if s.Sessions == 0 {
		return out // nothing was ever played
	}
	out.session.Frames, out.session.Late, out.session.Errors = s.Frames-b.Frames, s.Late-b.Late, s.Errors-b.Errors
	if frames := s.Frames - b.Frames; frames > 0 {
		out.session.DecodeSeconds = sample.Of((s.Decode - b.Decode).Seconds() / float64(frames))
	}
	if now > s.NewestAt {
		out.session.Age = sample.Of(time.Duration(now - s.NewestAt).Seconds())
	}
	if !open && s.State != capture.Waiting && s.State != capture.Opening {
		out.media.Ended = b.State == capture.Playing || b.State == capture.Stalled || b.State == capture.Waiting || b.State == capture.Opening
		return out // it is closed: nobody waits for pictures
	}
	out.media.Known, out.media.Reliable = true, true
	out.media.Frames = out.session.Frames
	out.media.Packets = out.session.Frames
	if s.Sessions != b.Sessions {
		// Also that of another capture, which played nothing at first.
		o.anchor, out.media.Restarted = s.Newest, o.played
		o.played = true
	}
	out.media.Newest, out.media.NewestAt = s.Newest-o.anchor, s.NewestAt
	out.media.Keys = keysOf(&b, &s)
	return out
}

// keysOf returns the key frames that came since the snapshot before.
func keysOf(b, s *capture.Snapshot) sample.Keys {
	keys := sample.Keys{Known: true, Count: s.Keys, At: s.KeyAt}
	if s.Sessions == b.Sessions {
		keys.Count -= b.Keys
	}
	if keys.Count > 0 {
		keys.GOP, keys.GOPFrames = s.GOP, float64(s.GOPFrames)
	}
	return keys
}

// lastCause remembers why there is no picture while the next try is under way.
func (o *ownSession) lastCause(s *capture.Snapshot) capture.Cause {
	if s.Cause != capture.NoCause {
		o.last, o.lastWhy = s.Cause, s.Why
	}
	return o.last
}

// checks keeps the shares of black, frozen and broken pictures.
func (o *ownSession) checks(now clock.Ktime, s *capture.Snapshot) {
	c := &o.checked
	if c.at == 0 {
		c.at, c.from = now, *s
	}
	if time.Duration(now-c.at) < checksOver {
		return
	}
	checked := s.Checked - c.from.Checked
	c.black, c.frozen, c.artefacts = sample.Figure{}, sample.Figure{}, sample.Figure{}
	if checked > 0 {
		of := func(n, before uint64) sample.Figure { return sample.Of(float64(n-before) / float64(checked)) }
		c.black, c.frozen, c.artefacts = of(s.Black, c.from.Black), of(s.Frozen, c.from.Frozen), of(s.Artefacts, c.from.Artefacts)
	}
	c.at, c.from = now, *s
}

// state is what the session's state means for the probe's. Where there is no
// program to play it, the picture is not available, and all else works.
func (o *ownSession) state() (guard.State, string) {
	s := &o.before
	switch s.State {
	case capture.Stalled, capture.Waiting:
		return guard.Degraded, fmt.Sprintf("the own session of %s: %s", o.id.Source, s.Why)
	case capture.Opening:
		if s.Restarts > 0 {
			return guard.Recovering, "opening " + o.id.Source + " again"
		}
	}
	return guard.Ready, ""
}

func (o *ownSession) status() *status.Capture {
	s := &o.before
	return &status.Capture{
		Source: o.id.Source, Mode: o.mode, State: string(s.State), Why: s.Why, Restarts: s.Restarts,
		Frames: s.Frames, Late: s.Late, Errors: s.Errors, Width: s.Width, Height: s.Height, FPS: s.FPS,
	}
}
