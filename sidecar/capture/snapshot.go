package capture

import (
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// State is how far a session is.
type State string

const (
	// Closed: nobody needs it now.
	Closed  State = "closed"
	Opening State = "opening"
	Playing State = "playing"
	// Stalled: it is open, but no frames come.
	Stalled State = "stalled"
	// Waiting for the next try.
	Waiting State = "waiting"
	// Absent: it can't be played here; Why says what is missing.
	Absent State = "absent"
)

// Snapshot is the capture at one moment. Counts are since the start, over all
// sessions.
type Snapshot struct {
	State State
	// Why and Cause say why there are no frames, or why the last session ended.
	Why   string
	Cause Cause
	// Sessions counts those that played at least one frame. With each, PTS begin
	// anew.
	Sessions uint64
	// Restarts counts sessions that failed, Crashes the children among them that
	// died, hung or grew too large.
	Restarts, Crashes uint64
	// Frames were decoded, Late of them dropped afterwards. Errors is what the
	// decoder complained of.
	Frames, Late, Errors uint64
	// Keys is how many key frames came in this session, KeyAt when the newest did.
	// GOP and GOPFrames are its distance from the one before; 0 while unknown.
	Keys      uint64
	KeyAt     clock.Ktime
	GOP       time.Duration
	GOPFrames uint64
	// Newest is the newest frame's PTS, on the session's own clock, and NewestAt
	// when it came out of the decoder; 0 before the first one.
	Newest   time.Duration
	NewestAt clock.Ktime
	// Width, Height and FPS are of the stream as it came last.
	Width, Height int
	FPS           float64
	// Checked frames were looked at; the others are counts of these. Artefacts are
	// frames that are blocky, or until which, since the one checked before, the
	// decoder had errors.
	Checked, Black, Frozen, Artefacts uint64
	// Blockiness is that of the last one checked.
	Blockiness float64
	// Damage is where the last one checked is damaged, with a label: all of the picture
	// where the place can't be told; zero where it is not.
	Damage Box
	// Decode is the processor's time for all Frames.
	Decode time.Duration
	// Pictures were made to be shown.
	Pictures uint64
	// WorkerBytes is the child's resident memory, 0 without one.
	WorkerBytes int64
}

// Snapshot returns the present state. It costs next to nothing.
func (c *Capture) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// took counts one frame. It allocates nothing.
func (c *Capture) took(f wire.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.now
	if s.State != Playing {
		if !c.playing {
			c.playing = true
			s.Sessions++
			s.Newest = 0
			s.Keys, s.KeyAt, s.GOP, s.GOPFrames = 0, 0, 0, 0
			c.pace = pace{}
		}
		s.State, s.Why, s.Cause = Playing, "", NoCause
	}
	s.Frames++
	s.Decode += f.Decode
	s.Width, s.Height = f.Width, f.Height
	s.Newest = max(s.Newest, f.PTS)
	s.NewestAt = min(f.At, clock.Now()) // it is the child's word
	s.FPS = c.pace.add(f.PTS)
	if f.Key {
		if s.Keys > 0 && f.PTS > c.key.PTS && f.Seq > c.key.Seq {
			s.GOP, s.GOPFrames = f.PTS-c.key.PTS, f.Seq-c.key.Seq
		}
		s.Keys++
		s.KeyAt, c.key = s.NewestAt, f
	}
	if f.Late {
		s.Late++
	}
	if f.Checked {
		s.Checked++
		s.Blockiness = float64(f.Blockiness)
		s.Black += one(f.Black)
		s.Frozen += one(f.Frozen)
		complained := s.Errors > c.errorsBefore
		s.Artefacts += one(f.Artefacts || complained || f.Filled)
		s.Damage = damage(&f, complained, c.lostRow)
		c.lostRow = 0
		c.errorsBefore = s.Errors
	}
	if f.Picture {
		s.Pictures++
		c.newest = f
	}
}

// damage says where a frame that was checked is damaged. From the row of
// macroblocks on in which the decoder lost its thread, the first of which is 0, to
// the end of the slice, nothing is right; where slices end is not known here.
func damage(f *wire.Frame, complained bool, lostRow int) Box {
	box := Box{Width: 1, Height: 1}
	switch {
	case f.Black:
		box.Label = "black (sampled)"
	case f.Filled:
		box = f.Place
		box.Label = "artefacts (sampled)"
	case complained && lostRow > 0 && lostRow*macroblock < f.Height:
		box.Y = float64(lostRow*macroblock) / float64(f.Height)
		box.Height = 1 - box.Y
		box.Label = "artefacts (sampled)"
	case f.Artefacts, complained:
		box.Label = "artefacts (sampled)"
	case f.Frozen:
		box.Label = "frozen (sampled)"
	default:
		return Box{}
	}
	return box
}

// macroblock is the side of those of H.264, in pixels.
const macroblock = 16

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// pace is frames per second over the last ones.
type pace struct {
	pts  [32]time.Duration
	n, i int
}

func (r *pace) add(pts time.Duration) float64 {
	r.pts[r.i] = pts
	r.i = (r.i + 1) % len(r.pts)
	r.n = min(r.n+1, len(r.pts))
	oldest := r.pts[0]
	if r.n == len(r.pts) {
		oldest = r.pts[r.i]
	}
	if pts <= oldest {
		return 0
	}
	return float64(r.n-1) / (pts - oldest).Seconds()
}

// Picture returns the newest JPEG and its number, if that is not after, the
// number of the one before. (A capture that replaced another counts from 1
// again.) The bytes stay as they are until the next call, which only one
// goroutine makes.
func (c *Capture) Picture(after uint64) (jpeg []byte, number uint64, ok bool) {
	c.mu.Lock()
	frame, number, memory := c.newest, c.now.Pictures, c.memory
	c.mu.Unlock()
	if number == after || memory == nil || !frame.Picture {
		return nil, after, false
	}
	c.reading.RLock()
	defer c.reading.RUnlock()
	if c.unmapped {
		return nil, after, false
	}
	if c.picture, ok = memory.Read(c.picture[:0], frame); !ok {
		return nil, after, false // it was overwritten meanwhile, so a newer one follows
	}
	return c.picture, number, true
}
