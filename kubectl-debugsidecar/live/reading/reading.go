// Package reading is what a probe's metrics say. Whoever has power over a pod has
// it over what they say: so they are read line by line, what is kept is bounded,
// and each text in it may go to a terminal.
package reading

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	// MaxStreams is how many streams of a probe are kept: the worst.
	MaxStreams = 50
	// most is how much is read. The probe names 2000 streams at most, in 6 MB.
	most = 16 << 20
	// mostLine is how long a line may be, mostFamily all lines of one metric.
	mostLine, mostFamily = 16 << 10, 2 << 20
	// seen is how many streams are told apart while they are read.
	seen = 2000
	// mostWords bounds lists of what is not available, and of reasons.
	mostWords = 40
)

// Figure is a number, if it is known.
type Figure = *float64

// Forecast is what viewers with a buffer of this depth will see.
type Forecast struct {
	BufferSeconds float64 `json:"bufferSeconds"`
	// StallSeconds is the time until a stall, 0 in one; nil while none is in sight.
	StallSeconds Figure `json:"stallSeconds"`
	// LeftSeconds is what is left in the buffer; below 0 the viewer waits.
	LeftSeconds Figure `json:"leftSeconds"`
}

// Stalled says whether these viewers wait now.
func (f *Forecast) Stalled() bool {
	return f.LeftSeconds != nil && *f.LeftSeconds < 0 || f.StallSeconds != nil && *f.StallSeconds <= 0
}

// ID tells streams of a probe apart.
type ID struct{ Stream, Src, SSRC string }

// Stream is what is known of one.
type Stream struct {
	ID
	Health, Cause string
	// Forecasts are by depth, the smallest first.
	Forecasts []Forecast
	// Counters since the stream began.
	Packets, Bytes, Frames, Lost, KernelDrops, Stalls Figure
	// LossRatio and all that follow are of the last ten seconds.
	LossRatio, JitterSeconds, LagSeconds, FrozenSeconds, KeyFrameGapSeconds, SocketQueueBytes Figure
}

// Drops are packets that the kernel dropped since the probe began.
type Drops struct {
	Reason string
	// Loss is false for what nobody waited for.
	Loss  bool
	Count float64
}

// Lack is a figure that can't be had, and what it would take.
type Lack struct{ Figure, Needs string }

// Reading is a probe at one moment.
type Reading struct {
	Version, Tier, State string
	Health, Cause        string
	// At is when the probe made it, by its own clock; zero if it does not say.
	At time.Time
	// Total is how many streams there are, of which Streams has the worst.
	Total   int
	Streams []Stream
	Drops   []Drops
	Lacks   []Lack
}

// healths are from best to worst.
var healths = []string{"unknown", "excellent", "fair", "poor", "unusable"}

// Rank of a health: the higher, the worse.
func Rank(health string) int { return slices.Index(healths, health) }

// causes are all there are. Anything else is not shown.
var causes = []string{"", "camera", "network", "node", "decoder", "unclear"}

// NextStall is the forecast for the smallest buffer that a stall is foreseen for.
func (s *Stream) NextStall() *Forecast {
	for i := range s.Forecasts {
		if s.Forecasts[i].StallSeconds != nil && !s.Forecasts[i].Stalled() {
			return &s.Forecasts[i]
		}
	}
	return nil
}

// Waits is the deepest buffer whose viewers wait now.
func (s *Stream) Waits() *Forecast {
	for _, f := range slices.Backward(s.Forecasts) {
		if f.Stalled() {
			return &f
		}
	}
	return nil
}

// worst keeps the worst streams.
func (r *Reading) worst(all []Stream) {
	for i := range all {
		slices.SortFunc(all[i].Forecasts, func(a, b Forecast) int { return cmp.Compare(a.BufferSeconds, b.BufferSeconds) })
	}
	slices.SortFunc(all, func(a, b Stream) int {
		return cmp.Or(
			cmp.Compare(depth(b.Waits()), depth(a.Waits())),
			cmp.Compare(soon(a.NextStall()), soon(b.NextStall())),
			cmp.Compare(Rank(b.Health), Rank(a.Health)),
			strings.Compare(a.Stream, b.Stream), strings.Compare(a.Src, b.Src), strings.Compare(a.SSRC, b.SSRC))
	})
	r.Total = max(r.Total, len(all))
	r.Streams = slices.Clone(all[:min(len(all), MaxStreams)])
}

func depth(f *Forecast) float64 {
	if f == nil {
		return 0
	}
	return f.BufferSeconds
}

func soon(f *Forecast) float64 {
	if f == nil {
		return math.Inf(1)
	}
	return *f.StallSeconds
}
