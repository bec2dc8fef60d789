package rtp

import (
	"math"
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

// commonRates are what a payload type that nobody explained may have, in Hz.
var commonRates = [...]uint32{1000, 8000, 10000, 11025, 12000, 16000, 22050, 24000, 25000, 32000, 44100, 48000, 50000, 90000, 100000}

const (
	// rateSpan is over how long a rate is measured, rateTries how often before
	// video's is taken for good.
	rateSpan  = 1500 * time.Millisecond
	rateTries = 4
	// wholeTries is from when on the whole time counts, too, and mostTries when a
	// pace that fits nothing is given up.
	wholeTries, mostTries = 3, 12
	// rateNear is how close, in percent, a measured rate is to a common one. A
	// stream whose bottleneck narrows has any slower rate, so twice the same is
	// asked for as well.
	rateNear = 3
	// oddRatio is how far a pace may be off for a little while.
	oddRatio = 1.4
	// audioBytes is what a packet of audio has at most, on average.
	audioBytes = 500
)

// rate is what is known of a flow's clock rate.
type rate struct {
	hertz   uint32
	settled bool
	audio   bool
	// at, packets and frames are where the measurement began, ticks how many the
	// flow's clock had done.
	at              clock.Ktime
	packets, frames uint64
	bytes           uint64
	ticks, anchor   int64
	suspect         uint32
	tries           int
	// since is where the first measurement began, whole the rate since then.
	since clock.Ktime
	whole uint32
	// odd is set while the pace is far from the rate that was assumed: then no
	// time of the media is true yet.
	odd bool
}

func (r *rate) begin(f *tap.Flow) {
	r.hertz = f.ClockRate
	r.settled = !f.RateAssumed
	r.audio = r.settled && r.hertz != videoRate
}

// from begins a measurement at a snapshot with a timestamp, unwrapped.
func (r *rate) from(f *tap.Flow, anchor int64) {
	r.at, r.packets, r.frames, r.bytes, r.ticks, r.anchor = f.Last, f.Packets, f.Frames, f.Bytes, 0, anchor
	r.since, r.whole = f.Last, 0
}

// settle measures a flow whose rate was assumed. It says whether the rate was
// another: then all times so far were wrong.
func (r *rate) settle(f *tap.Flow, ticks int64) (corrected bool) {
	elapsed := time.Duration(f.Last - r.at)
	if r.settled || elapsed < rateSpan/3 {
		return false
	}
	measured := float64(ticks-r.ticks) / elapsed.Seconds()
	off := measured / float64(r.hertz)
	r.odd = off < 1/oddRatio || off > oddRatio
	if elapsed < rateSpan {
		return false
	}
	found := nearest(measured)
	// Pictures that are sent out of order make short spans inexact, but not all of
	// them together.
	whole := nearest(float64(ticks) / time.Duration(f.Last-r.since).Seconds())
	packets, frames, bytes := f.Packets-r.packets, f.Frames-r.frames, f.Bytes-r.bytes
	r.at, r.packets, r.frames, r.bytes, r.ticks = f.Last, f.Packets, f.Frames, f.Bytes, ticks
	r.tries++
	switch {
	case found == r.hertz || r.tries >= rateTries && !r.odd || r.tries >= mostTries:
		r.settled, r.odd = true, false
	case r.odd && r.tries >= wholeTries && whole != 0 && whole == r.whole:
		found = whole
		fallthrough
	case found != 0 && found == r.suspect:
		r.settled, r.odd, r.hertz = true, false, found
		r.audio = found != videoRate && packets == frames && bytes < audioBytes*packets
		return true
	}
	r.suspect, r.whole = found, whole
	return false
}

// nearest returns the common rate that is closest, 0 if none is near.
func nearest(measured float64) (found uint32) {
	closest := rateNear / 100.0
	for _, hertz := range commonRates {
		if off := math.Abs(measured/float64(hertz) - 1); off < closest {
			found, closest = hertz, off
		}
	}
	return found
}

// duration returns ticks of the flow's clock as time.
func (r *rate) duration(ticks int64) time.Duration {
	if r.hertz == 0 {
		return 0
	}
	hertz := int64(r.hertz)
	return time.Duration(ticks/hertz)*time.Second + time.Duration(ticks%hertz*int64(time.Second)/hertz)
}
