package rtp

import (
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// Meter makes samples of one flow's snapshots. The zero value is ready; each
// flow has its own.
type Meter struct {
	begun bool
	prev  tap.Flow
	rate  rate
	// extended is the last packet's timestamp, unwrapped; newest the highest.
	extended, newest int64
	newestAt         clock.Ktime
	// anchor is the timestamp at which the media's time is 0.
	anchor int64
	over   bool
	// catching says that what had waited comes now.
	catching bool
	// begins is when the media's time did.
	begins clock.Ktime
	holes  holes
}

// jump is how far a timestamp may differ from what the time that has passed
// lets expect before the source has begun anew.
const jump = 20 * time.Second

// caughtUp is how far the media goes ahead of the time that passed where what had
// waited comes at once: that pace is no clock's. Pictures out of order go ahead by
// less.
const caughtUp = time.Second

// Next returns what was added since the snapshot before. The first sample counts
// all that came before it.
func (m *Meter) Next(f *tap.Flow) sample.Media {
	first := !m.begun
	restarted := false
	if first {
		m.begun = true
		m.prev = tap.Flow{SSRC: f.SSRC, First: f.First, Last: f.First, Timestamp: f.Timestamp}
		m.rate.begin(f)
		m.restart(f)
		// The first packet came before the last one: when and with which timestamp
		// only the kernel knew, so the media's time starts here.
	} else if f.Packets > m.prev.Packets {
		restarted = m.follow(f)
	}
	media := sample.Media{
		Known:   true,
		Packets: f.Packets - m.prev.Packets, Bytes: f.Bytes - m.prev.Bytes, Frames: f.Frames - m.prev.Frames,
		Lost: int64(f.Lost - m.prev.Lost), Gaps: f.Gaps - m.prev.Gaps,
		Reordered: f.Reordered - m.prev.Reordered, Duplicates: f.Duplicates - m.prev.Duplicates,
		Jitter:    f.Jitter * time.Duration(f.ClockRate) / time.Duration(max(m.rate.hertz, 1)),
		Newest:    m.rate.duration(m.newest - m.anchor),
		NewestAt:  m.newestAt,
		Restarted: restarted,
		Audio:     m.rate.audio,
		Told:      !m.holes.full,
		Wait:      m.wait(f),
		Keys:      m.keys(f),
		Control:   f.Control.PLI+f.Control.FIR+f.Control.NACK > 0,
		PLI:       f.Control.PLI - m.prev.Control.PLI, FIR: f.Control.FIR - m.prev.Control.FIR, NACK: f.Control.NACK - m.prev.Control.NACK,
	}
	media.Hole, media.Dropped = m.takeHole()
	if !m.over && (f.Ended || f.Control.BYE > m.prev.Control.BYE) {
		media.Ended, m.over = true, true
	}
	m.prev = *f
	return media
}

// follow takes the timestamp of packets that came, and says whether the source
// began anew.
func (m *Meter) follow(f *tap.Flow) bool {
	step := int64(int32(f.Timestamp - m.prev.Timestamp))
	passed := time.Duration(f.Last - m.prev.Last)
	differs := m.rate.duration(step) - passed
	// Sequence numbers that begin anew say less: many of them may have been
	// overtaken.
	if m.over || differs > jump || differs < -jump {
		m.over = false
		m.restart(f)
		return true
	}
	m.extended += step
	if m.catching = !m.rate.settled && (differs > caughtUp || m.catching && differs > caughtUp/10); m.catching {
		m.rate.from(f, m.extended)
	}
	m.holes.swing(m.extended < m.newest)
	if f.Lost == m.prev.Lost {
		m.holes.pictures(float64(max(m.extended-m.newest, 0)), float64(f.Frames-m.prev.Frames), float64(f.Packets-m.prev.Packets))
	} else {
		m.holes.ticks, m.holes.frames = 0, 0
	}
	if m.extended >= m.newest {
		m.newest, m.newestAt = m.extended, f.Last
	}
	if m.rate.settle(f, m.extended-m.rate.anchor) || m.rate.odd {
		m.anew(f)
		return true
	}
	return false
}

// wait returns the latest time without a picture, if it is over since the
// snapshot before.
func (m *Meter) wait(f *tap.Flow) sample.Wait {
	w := &f.Wait
	if f.Waits == m.prev.Waits || w.From < m.begins {
		return sample.Wait{}
	}
	return sample.Wait{
		Since: w.From, Until: w.To,
		Before: m.rate.duration(m.unwrap(w.Before) - m.anchor), After: m.rate.duration(m.unwrap(w.After) - m.anchor),
	}
}

// restart forgets what the timestamps were before.
func (m *Meter) restart(f *tap.Flow) {
	m.extended = int64(f.Timestamp)
	m.anew(f)
	m.rate.from(f, m.extended)
}

// anew begins the media's time at the last packet.
func (m *Meter) anew(f *tap.Flow) {
	m.holes = holes{pending: m.holes.pending[:0], dropped: m.holes.dropped[:0], placed: m.holes.placed, runs: m.holes.runs[:0]}
	m.newest, m.anchor, m.newestAt, m.begins = m.extended, m.extended, f.Last, f.Last
}
