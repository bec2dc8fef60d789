package warn

import (
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

// Options of New. The zero value is what most want.
type Options struct {
	// Buffers are the depths of viewers' playout buffers that are warned of.
	// Default 0.2, 0.5, 1, 2 and 4 s.
	Buffers []time.Duration
	// Confidence is how likely a stall has to be for it to be predicted, from
	// LeastConfidence to MostConfidence. Default DefaultConfidence.
	Confidence float64
	// Time returns what the wall showed at a moment, for alerts. Default: the
	// moment is taken for nanoseconds since 1970, as in a capture file.
	Time func(clock.Ktime) time.Time
	// History is what detectors learn from each other: how long faults last
	// here. Those of one probe share it, and are then used by one goroutine.
	// Default: each learns by itself.
	History *History
	// Observe is called with what each forecast was made from; nil if nobody fits
	// a model.
	Observe func(Observation)
}

// DefaultConfidence is where right and false predictions, and their lead, seemed
// best in balance on the laboratory's streams (docs/benchmarks.md).
const DefaultConfidence = 0.88

// Where it makes sense: below, more than half of the predictions are false; above,
// the model knows too few cases.
const (
	LeastConfidence = 0.3
	MostConfidence  = 0.99
)

// DefaultBuffers are the depths that are warned of if nobody says otherwise.
func DefaultBuffers() []time.Duration {
	return []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
}

func (o *Options) defaults() {
	if len(o.Buffers) == 0 {
		o.Buffers = DefaultBuffers()
	}
	o.Buffers = slices.Clone(o.Buffers)
	slices.Sort(o.Buffers)
	if !(o.Confidence >= LeastConfidence && o.Confidence <= MostConfidence) {
		o.Confidence = DefaultConfidence
	}
	if o.Time == nil {
		o.Time = func(k clock.Ktime) time.Time { return time.Unix(0, int64(k)) }
	}
	if o.History == nil {
		o.History = NewHistory()
	}
}
