package serve

import (
	"math"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

const (
	// historySeconds is how far the plot goes back, in points of a second.
	historySeconds = 600
	// historyStreams is how many streams have a plot of their own; all are in the
	// common one. A point takes 22 bytes, so these are 3 MB.
	historyStreams = 256
	// maxDepths is how many buffer depths are kept.
	maxDepths = 6
)

// history is the last ten minutes, by the second.
type history struct {
	mu      sync.Mutex
	all     track
	streams map[string]*track
	depths  []float64 // seconds, as the forecasts have them
	newest  int64     // unix second
	// before are the counts of the last status; spare is the map for the next one's.
	before, spare map[string]dropCount
}

type dropCount struct{ packets, drops uint64 }

// track is a ring of points by the unix second.
type track struct {
	points [historySeconds]point
	newest int64
}

// point is the worst of a second. Milliseconds and shares in 16 bits are
// finer than the plot's pixels.
type point struct {
	lag    uint16 // milliseconds
	loss   uint16 // share of shareScale
	drops  uint16 // share of shareScale
	health uint8  // place in healths
	left   [maxDepths]int16
}

const (
	unknown16   = math.MaxUint16
	unknownLeft = math.MinInt16
	shareScale  = 60000
)

// healths are the words from best to worst.
var healths = []warn.Health{warn.Unknown, warn.Excellent, warn.Fair, warn.Poor, warn.Unusable}

func newHistory() *history {
	return &history{streams: map[string]*track{}, before: map[string]dropCount{}, spare: map[string]dropCount{}}
}

// add takes a status into its second. A clock that went back adds nothing until
// it is past where it was, unless it went back by more than the plot holds.
func (h *history) add(st *status.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := st.At.Unix()
	if now < h.newest && h.newest-now < historySeconds {
		return
	}
	if now < h.newest {
		h.all, h.streams = track{}, map[string]*track{}
	}
	if now > h.newest && len(h.streams) == historyStreams {
		h.forgetEnded(now)
	}
	h.newest = now
	h.all.reach(now)
	clear(h.spare)
	for i := range st.Streams {
		stream := &st.Streams[i]
		if len(h.depths) == 0 {
			for _, f := range stream.Verdict.Forecasts[:min(maxDepths, len(stream.Verdict.Forecasts))] {
				h.depths = append(h.depths, f.Buffer)
			}
		}
		p := h.point(stream)
		h.spare[stream.Key] = dropCount{stream.Totals.Packets, stream.Totals.KernelDrops}
		h.all.merge(now, p)
		if own := h.own(stream.Key); own != nil {
			own.reach(now)
			own.merge(now, p)
		}
	}
	h.before, h.spare = h.spare, h.before
}

// endedAfter is how many seconds a stream's plot waits for it when there is no
// room for others.
const endedAfter = 5

func (h *history) forgetEnded(now int64) {
	for key, t := range h.streams {
		if now-t.newest > endedAfter {
			delete(h.streams, key)
		}
	}
}

// own returns the stream's track, or nil where there is no room for one.
func (h *history) own(key string) *track {
	t := h.streams[key]
	if t == nil && len(h.streams) < historyStreams {
		t = &track{}
		h.streams[key] = t
	}
	return t
}

func (h *history) point(s *status.Stream) point {
	p := nothing()
	if lag, known := s.Window.LagSeconds.Get(); known {
		p.lag = uint16(clamp(lag*1000, 0, unknown16-1))
	}
	if loss, known := s.Window.PacketLoss.Get(); known {
		p.loss = uint16(clamp(loss, 0, 1) * shareScale)
	}
	if before, known := h.before[s.Key]; known && s.Totals.KernelDrops >= before.drops && s.Totals.Packets > before.packets {
		dropped := float64(s.Totals.KernelDrops - before.drops)
		p.drops = uint16(clamp(dropped/float64(s.Totals.Packets-before.packets), 0, 1) * shareScale)
	}
	for i, word := range healths {
		if word == s.Verdict.Health {
			p.health = uint8(i)
		}
	}
	for _, f := range s.Verdict.Forecasts {
		left, known := f.Left.Get()
		if !known {
			continue
		}
		for i, depth := range h.depths {
			if depth == f.Buffer {
				p.left[i] = int16(clamp(left*1000, unknownLeft+1, math.MaxInt16))
			}
		}
	}
	return p
}

func nothing() point {
	p := point{lag: unknown16, loss: unknown16, drops: unknown16}
	for i := range p.left {
		p.left[i] = unknownLeft
	}
	return p
}

func clamp(v, low, high float64) float64 {
	if !(v > low) { // NaN, too
		return low
	}
	return min(v, high)
}

// reach empties the points between the newest and now.
func (t *track) reach(now int64) {
	for s := max(t.newest+1, now-historySeconds+1); s <= now; s++ {
		t.points[s%historySeconds] = nothing()
	}
	t.newest = now
}

// merge keeps the worse of what the second has and p.
func (t *track) merge(now int64, p point) {
	have := &t.points[now%historySeconds]
	if p.lag != unknown16 && (have.lag == unknown16 || p.lag > have.lag) {
		have.lag = p.lag
	}
	if p.loss != unknown16 && (have.loss == unknown16 || p.loss > have.loss) {
		have.loss = p.loss
	}
	if p.drops != unknown16 && (have.drops == unknown16 || p.drops > have.drops) {
		have.drops = p.drops
	}
	have.health = max(have.health, p.health)
	for i, left := range p.left {
		if left != unknownLeft && (have.left[i] == unknownLeft || left < have.left[i]) {
			have.left[i] = left
		}
	}
}

// plot is the document of /api/v1/history: columns, the oldest value first, null
// where nothing is known.
type plot struct {
	// Stream is the key of one stream, or empty: then each value is the worst
	// of all streams.
	Stream string `json:"stream,omitempty"`
	// Kept is false for a stream whose plot there was no room for.
	Kept bool `json:"kept"`
	// End is the newest value's time, StepSeconds is between two.
	End         time.Time       `json:"end"`
	StepSeconds float64         `json:"step_s"`
	Health      []warn.Health   `json:"health"`
	Lag         []sample.Figure `json:"lag_s"`
	// Loss is RTP sequence numbers that are missing, Dropped what this node's
	// kernel dropped, as shares of the packets.
	Loss    []sample.Figure `json:"loss"`
	Dropped []sample.Figure `json:"dropped"`
	Left    []leftColumn    `json:"left"`
	// Alerts are those of this time, in the form of /api/v1/alerts; LastEventID
	// is where that goes on.
	Alerts      []event `json:"alerts"`
	LastEventID string  `json:"lastEventId"`
}

type leftColumn struct {
	Buffer float64         `json:"buffer_s"`
	Left   []sample.Figure `json:"left_s"`
}

// MarshalJSON gives the alert's line alone.
func (e event) MarshalJSON() ([]byte, error) { return e.line, nil }

// plot returns the last ten minutes of a stream, or of all for "".
func (h *history) plot(key string) plot {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := plot{Stream: key, End: time.Unix(h.newest, 0).UTC(), StepSeconds: 1, Kept: true}
	t := &h.all
	if key != "" {
		t = h.streams[key]
		p.Kept = t != nil
	}
	if h.newest == 0 || t == nil {
		return p
	}
	p.Left = make([]leftColumn, len(h.depths))
	for i := range p.Left {
		p.Left[i].Buffer = h.depths[i]
	}
	for s := h.newest - historySeconds + 1; s <= h.newest; s++ {
		at := nothing()
		if s > t.newest-historySeconds && s <= t.newest {
			at = t.points[s%historySeconds]
		}
		p.Health = append(p.Health, healths[at.health])
		p.Lag = append(p.Lag, figure(at.lag == unknown16, float64(at.lag)/1000))
		p.Loss = append(p.Loss, figure(at.loss == unknown16, float64(at.loss)/shareScale))
		p.Dropped = append(p.Dropped, figure(at.drops == unknown16, float64(at.drops)/shareScale))
		for i := range p.Left {
			p.Left[i].Left = append(p.Left[i].Left, figure(at.left[i] == unknownLeft, float64(at.left[i])/1000))
		}
	}
	return p
}

func figure(unknown bool, value float64) sample.Figure {
	if unknown {
		return sample.Figure{}
	}
	return sample.Of(value)
}
