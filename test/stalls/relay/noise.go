package relay

import "math"

// Randomness here is a function of what it is for, not of how often it was asked
// for: so the same packet meets the same fate with and without a fault, and
// what differs is the fault's doing.

// mix hashes a few numbers to 64 bits (the finaliser of splitmix64).
func mix(parts ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h += p + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// uniform is in [0, 1).
func uniform(parts ...uint64) float64 { return float64(mix(parts...)>>11) / (1 << 53) }

// purposes of randomness.
const (
	forLoss = iota + 1
	forBurst
	forReorder
	forDuplicate
	forJitter
	forWobble
	forWake
	forStart
	forGap
)

// exponential has the mean 1 and at most 7.
func exponential(parts ...uint64) float64 {
	return min(-math.Log(1-uniform(parts...)), 7)
}

// wander is a process over time with the mean 1: what it is at a moment is near
// to what it is within cell nanoseconds.
func wander(seed, purpose uint64, at, cell int64) float64 {
	k := at / cell
	if at < 0 {
		k--
	}
	part := float64(at-k*cell) / float64(cell)
	return (1-part)*exponential(seed, purpose, uint64(k)) + part*exponential(seed, purpose, uint64(k+1))
}
