package warn

import "math"

// History is what was learned of faults: how high the lag rose in those that
// are over. It is not safe for concurrent use.
type History struct {
	peaks [2][]float64 // by kind, in seconds of lag; the latest ones
	next  [2]int
	// lost of silences ended with pictures missing, late with pictures late.
	lost, late float64
}

// Kinds of faults that last differently.
const (
	sudden  = iota // nothing comes
	gradual        // less comes than should
)

// remembered is how many faults of a kind are.
const remembered = 64

// NewHistory returns one that knows nothing.
func NewHistory() *History {
	return &History{peaks: [2][]float64{make([]float64, 0, remembered), make([]float64, 0, remembered)}}
}

// add notes a fault that is over.
func (h *History) add(kind int, peak float64) {
	if len(h.peaks[kind]) < remembered {
		h.peaks[kind] = append(h.peaks[kind], peak)
		return
	}
	h.peaks[kind][h.next[kind]] = peak
	h.next[kind] = (h.next[kind] + 1) % remembered
}

// prior is how much what is assumed counts, in faults; tail is the exponent of
// the distribution that is assumed: that of durations which span orders of
// magnitude.
const (
	prior = 3.0
	tail  = 0.35
)

// beyond returns the probability that a fault which has reached so much goes on
// to reach another height.
func (h *History) beyond(kind int, reached, height float64) float64 {
	if height <= reached {
		return 1
	}
	above, all := 0, 0
	for _, p := range h.peaks[kind] {
		if p >= reached {
			all++
			if p >= height {
				above++
			}
		}
	}
	assumed := math.Pow(max(reached, 0.05)/max(height, 0.05), tail)
	return (float64(above) + prior*assumed) / (float64(all) + prior)
}

// memory is how much a silence still counts after the next one.
const memory = 0.97

// silenceOver notes whether the pictures of a silence are lost or were late.
func (h *History) silenceOver(lost bool) {
	h.lost, h.late = h.lost*memory, h.late*memory
	if lost {
		h.lost++
	} else {
		h.late++
	}
}

// lostShare returns how likely the pictures of a silence are lost.
func (h *History) lostShare() float64 { return (h.lost + 1.5) / (h.lost + h.late + 3) }
