package probe

import (
	"fmt"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/sidecar/guard"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
)

// ownSession is the probe's own capture, seen as one more stream.
type ownSession struct {
	player *player
	source string // with its password
	id     sample.Stream
	mode   string

	before  capture.Snapshot
	anchor  time.Duration // the session's first PTS that was seen
	checked share
}

// sessionSample is one tick of it.
type sessionSample struct {
	id      sample.Stream
	media   sample.Media
	session sample.Session
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
	s := o.player.capture().Snapshot()
	b := o.before
	if s.Frames < b.Frames || s.Sessions < b.Sessions {
		b = capture.Snapshot{State: b.State} // it was replaced
	}
	o.before = s
	out := &sessionSample{id: o.id}
	open := s.State == capture.Playing || s.State == capture.Stalled
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
		o.anchor = s.Newest
		out.media.Restarted = b.Sessions != 0
	}
	out.media.Newest, out.media.NewestAt = s.Newest-o.anchor, s.NewestAt
	return out
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
