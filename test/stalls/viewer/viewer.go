// Package viewer says what viewers of a stream saw, and so what is true.
//
// A viewer has a playout buffer of a fixed depth. A picture is due at the arrival
// of the session's first complete key frame, plus the depth, plus what the
// source's clock says lies between the two. One that comes later is shown when
// it comes. Playout is never moved, however often that happens.
//
// A frame of which a packet was lost is not shown; those after it are, since
// decoders conceal what is missing (Conceal). So a single lost packet is no
// stall. Players that show nothing more until the next key frame (Freeze) are
// there to be compared.
//
// A stall is a gap between shown pictures of at least max(3d, d + 150 ms), d
// being the nominal frame interval, and starts d after the last picture. Stalls
// less than Join apart are one episode. A session that ended with a farewell
// (RTCP BYE) has no stall after it; one that is silently replaced by another has.
package viewer

import (
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/relay"
)

// Loss is what a player does about a frame of which a packet was lost.
type Loss int

const (
	Conceal Loss = iota
	Freeze
)

// Depths are the viewers' buffers.
var Depths = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// Join is how far apart stalls have to be to be two episodes.
const Join = 5 * time.Second

// Threshold returns the shortest gap that is a stall.
func Threshold(interval time.Duration) time.Duration {
	return max(3*interval, interval+150*time.Millisecond)
}

// Episode is one or more stalls.
type Episode struct {
	Start, End time.Duration
	// Stalls is how many there are, Stalled how long they take together.
	Stalls  int
	Stalled time.Duration
}

// Episodes returns what a viewer of this depth suffers until the capture ends.
func Episodes(s relay.Stream, loss Loss, depth, until time.Duration) []Episode {
	var episodes []Episode
	for _, life := range lives(s) {
		shown := shown(s, life, loss, depth)
		if len(shown) == 0 {
			continue
		}
		if last := shown[len(shown)-1]; life.ends == silence && last < until {
			shown = append(shown, relay.Never)
		}
		episodes = join(episodes, shown, s.Interval, until)
	}
	return episodes
}

// ending is how a series of sessions ends.
type ending int

const (
	silence  ending = iota // nothing says why
	farewell               // with a BYE
	open                   // it goes on beyond what is simulated
)

// life is a series of sessions that a viewer takes for one.
type life struct {
	first, last int // sessions
	ends        ending
}

func lives(s relay.Stream) []life {
	var all []life
	first := 0
	for i, session := range s.Sessions {
		if session.Farewell != 0 {
			all = append(all, life{first, i, farewell})
			first = i + 1
		}
	}
	if first < len(s.Sessions) {
		all = append(all, life{first, len(s.Sessions) - 1, silence})
	}
	return all
}

// shown returns when pictures are shown, sorted.
func shown(s relay.Stream, l life, loss Loss, depth time.Duration) []time.Duration {
	var times []time.Duration
	for session := l.first; session <= l.last; session++ {
		frames := s.Frames[s.Sessions[session].First:]
		if session+1 < len(s.Sessions) {
			frames = s.Frames[s.Sessions[session].First:s.Sessions[session+1].First]
		}
		key := slices.IndexFunc(frames, func(f relay.Frame) bool { return f.Key && f.Complete() })
		if key < 0 {
			continue
		}
		anchor := frames[key]
		frozen := false
		for _, f := range frames[key:] {
			frozen = loss == Freeze && (!f.Complete() || frozen && !f.Key)
			if f.Complete() && !frozen && f.Media >= anchor.Media {
				times = append(times, max(anchor.ReadAt+depth+f.Media-anchor.Media, f.ReadAt))
			}
		}
	}
	slices.Sort(times)
	return times
}

func join(episodes []Episode, shown []time.Duration, interval, until time.Duration) []Episode {
	for i := 1; i < len(shown); i++ {
		if shown[i]-shown[i-1] < Threshold(interval) {
			continue
		}
		start, end := shown[i-1]+interval, min(shown[i], until)
		if start >= until || end < 0 {
			continue
		}
		if n := len(episodes); n > 0 && start-episodes[n-1].End < Join {
			last := &episodes[n-1]
			last.End = max(last.End, end)
			last.Stalls++
			last.Stalled += end - start
			continue
		}
		episodes = append(episodes, Episode{Start: start, End: end, Stalls: 1, Stalled: end - start})
	}
	return episodes
}
