package warn

import (
	"math"
	"math/bits"
)

// runs follows how likely it is that so many pictures in a row are broken that
// their gap is a stall. A tap sees how many packets are missing, not of which
// pictures; so each picture of a sample is broken with the same probability, and
// a chain of run lengths is kept. A picture that misses packets is not shown; the
// next whole one is.
type runs struct {
	length [maxRun + 1]float64 // the probability of a run of that many
	active bool
	quiet  int
	// broken is the share of pictures that were, smoothed; packets is how many
	// packets a picture has.
	broken, packets float64
	rest, before    float64
	// lossy has a bit for each of the last samples that lost any.
	lossy uint32
}

// allLost is the share of lost packets above which no picture is whole.
const allLost = 0.7

// largePicture is how many times the mean a picture is large.
const largePicture = 2.0

// maxRun is the longest run that is told apart, for 60 pictures a second and
// more.
const maxRun = 16

// add takes a sample's loss and returns the probability that a run reached k
// pictures in it. Of total packets that were sent some arrived and some were
// lost, in so many gaps, 0 if that is not known; due is how many pictures a sample
// has at the nominal rate; filling says that a socket dropped what one picture had
// too much.
func (r *runs) add(frames, due, packets, total, gaps, lost float64, k int, filling bool) float64 {
	if lost <= 0 && frames > 0 {
		if r.packets == 0 {
			r.packets = packets / frames
		}
		// The usual picture, not the mean: large ones are few.
		if each := packets / frames; each < r.packets {
			r.packets += (each - r.packets) / 16
		} else {
			r.packets += (each - r.packets) / 128
		}
	}
	if lost <= 0 && !r.active {
		return 0
	}
	if !r.active {
		r.active, r.quiet, r.length = true, 0, [maxRun + 1]float64{0: 1}
	}
	// The part of a picture that is left over counts in a later sample.
	r.rest += max(frames, min(due, total/max(r.packets, 1)))
	n := math.Floor(r.rest + 0.01)
	r.rest -= n
	share := 0.0
	if lost > 0 {
		r.quiet = 0
		n = max(n, 1)
		// Each gap breaks the picture that it is in, and those that it is as long as.
		// A large picture has more of them than its share.
		size := max(r.packets, 1)
		extra := total - n*size
		large := extra > largePicture*size && frames <= flood*due+2 // of many at once some are
		// How a socket's drops lie is not known: where it is full they are everywhere,
		// and a large picture overflows it by its end.
		everywhere := gaps == 0 && !large && !filling
		switch {
		case everywhere:
			gaps = lost
		case gaps == 0:
			gaps = 1
		}
		gaps = max(gaps, 1)
		spread := gaps
		if large {
			spread = max(gaps*(1-extra/total), 1)
			size += extra
		}
		each := min(1, (1+(lost/gaps-1)/size)/n)
		share = 1 - math.Pow(1-each, spread)
		if everywhere {
			// What stays full drops the end of each picture that is larger than what
			// was read meanwhile, and those are most: more even than by chance.
			share = max(share, min(1, lost/n))
		}
		if lost > allLost*total {
			share = 1
		}
		if n == 1 {
			share = 1
			if r.before > 0 && lost <= allLost*total {
				// It may be the rest of the picture that the sample before broke.
				share = 0.3 + 0.4*min(1, lost/max(size, packets))
				if filling && gaps == 1 {
					share = 0.1
				}
			}
		}
	} else if r.quiet++; r.quiet > 20 {
		r.active = false
	}
	r.before = lost
	r.lossy <<= 1
	if lost > 0 {
		r.lossy |= 1
	}
	r.broken += 0.15 * (share - r.broken)
	if n > float64(k) && lost/max(gaps, 1)/max(r.packets, 1) > float64(k+1) {
		return 1 // so many were dropped in a row
	}
	k = min(max(k, 1), maxRun)
	for j := k; j < maxRun; j++ { // k was more before
		r.length[0] += r.length[j]
		r.length[j] = 0
	}
	reached := 0.0
	for range int(n) {
		sum := 0.0
		for _, p := range r.length[:k] {
			sum += p
		}
		for j := k; j > 0; j-- {
			r.length[j] = share * r.length[j-1]
		}
		r.length[0] = (1 - share) * sum
		reached += r.length[k]
		// A run that was long enough begins anew, so that it is counted once.
		r.length[0] += r.length[k]
		r.length[k] = 0
	}
	return min(reached, 1)
}

// sustained says whether loss is more than a burst.
func (r *runs) sustained() bool { return r.active && bits.OnesCount32(r.lossy&0x3ff) >= 5 }

// runOf returns how many broken pictures in a row are a stall.
func runOf(nominal float64) int { return int(math.Ceil(stallGap(nominal)/nominal-0.05)) - 1 }
