// Package clock puts the clocks of a video's way side by side: the kernel's
// (CLOCK_MONOTONIC, which bpf_ktime_get_ns reads), the wall's, and that of an
// RTP stream.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Ktime is a time of CLOCK_MONOTONIC in nanoseconds, as BPF programs read it.
type Ktime uint64

// Now returns the present time of the kernel's clock.
func Now() Ktime {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // this clock exists everywhere
	return Ktime(ts.Nano())
}

// Wall is the wall clock as it stood against the kernel's at one moment. The
// wall clock may be set; so sample it again now and then, and never keep one
// for hours.
type Wall struct{ offset int64 }

// SampleWall reads both clocks. The error is at most half the time between the
// two reads of the kernel's clock; the closest of five tries is taken.
func SampleWall() Wall {
	var best Wall
	shortest := int64(1<<63 - 1)
	for range 5 {
		before := Now()
		wall := time.Now().UnixNano()
		after := Now()
		if took := int64(after - before); took < shortest {
			shortest = took
			best.offset = wall - int64(before) - took/2
		}
	}
	return best
}

// Time returns what the wall clock showed at k.
func (w Wall) Time(k Ktime) time.Time { return time.Unix(0, int64(k)+w.offset) }

// Ktime returns what the kernel's clock showed at t.
func (w Wall) Ktime(t time.Time) Ktime { return Ktime(t.UnixNano() - w.offset) }

// RTP ties the timestamps of one RTP source to the kernel's clock: the packet
// or sender report with Timestamp was seen at Ktime.
type RTP struct {
	Ktime     Ktime
	Timestamp uint32
	// Rate is the clock rate in Hz (RFC 3550, section 5.1), 90000 for video.
	Rate uint32
}

// At returns the RTP timestamp of the moment k: what the source's clock showed
// then, but for the network's delay. It is right within half the timestamp's
// range, 6.6 hours at 90 kHz.
func (r RTP) At(k Ktime) uint32 {
	d := int64(k - r.Ktime)
	rate := int64(r.Rate)
	ticks := d/int64(time.Second)*rate + d%int64(time.Second)*rate/int64(time.Second)
	return r.Timestamp + uint32(ticks)
}

// Time returns the moment at which the source's clock showed ts, the nearest
// one to the reference. A rate of 0 gives the reference's own time.
func (r RTP) Time(ts uint32) Ktime {
	if r.Rate == 0 {
		return r.Ktime
	}
	ticks := int64(int32(ts - r.Timestamp))
	return r.Ktime + Ktime(ticks*int64(time.Second)/int64(r.Rate))
}

// NTP returns the time that an RTCP sender report carries: 32 bits of seconds
// since 1900, 32 of their fraction (RFC 3550, section 4).
func NTP(ntp uint64) time.Time {
	const since1900 = 2208988800
	seconds := int64(ntp>>32) - since1900
	return time.Unix(seconds, int64((ntp&0xffffffff)*uint64(time.Second)>>32))
}
