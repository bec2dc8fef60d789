package warn

import "math"

// History is what was learned of faults: how high the lag rose in those that
// are over. It is not safe for concurrent use.
type History struct {
	peaks [kinds][]float64 // in seconds of lag; the latest ones
	next  [kinds]int
	// lost of silences ended with pictures missing, late with pictures late.
	lost, late float64
}

// Kinds of faults. How long the first ones last is learned.
const (
	sudden = iota // nothing comes
	unread        // nothing is read
	kinds
	gradual // less comes, or is read, than should
)

// remembered is how many faults of a kind are.
const remembered = 64

// NewHistory returns one that knows nothing.
func NewHistory() *History {
	h := new(History)
	for i := range h.peaks {
		h.peaks[i] = make([]float64, 0, remembered)
	}
	return h
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

// prior is how much what is assumed counts, in faults: that how long they last
// spans orders of magnitude, up to longest.
const (
	prior   = 3.0
	longest = 10.0 // seconds
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
	reached = max(reached, 0.05)
	assumed := max(0, math.Log(longest/height)) / math.Log(longest/min(reached, longest/2))
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
