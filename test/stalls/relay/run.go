// Package relay lets a group's streams run, in virtual time: cameras send, the
// link delays and loses, sockets fill, applications read.
//
// The tap is the pod's interface: it sees packets after the link and before the
// socket. Each group runs twice, without the faults of network and receiver and
// with them, and all else alike; so it is known of each packet when it would
// have come.
package relay

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
)

// Stream is what became of a stream.
type Stream struct {
	scenario.Stream
	Number   int // within the group
	Frames   []Frame
	Sessions []Session
	// Readings are those of its socket, every 100 ms from 0 on.
	Readings []Reading
	// Calm are the readings had there been no fault.
	Calm []Reading
	// Losses are the packets that were lost on the wire or at the socket, in the
	// order in which that happened.
	Losses []Loss
}

// Loss is a packet that never reached the application.
type Loss struct {
	// At is when it would have arrived, or was dropped by the socket.
	At     time.Duration
	Socket bool
}

// Result is a group after its run.
type Result struct {
	scenario.Group
	Streams []Stream
	// Packets arrived at the tap, in this order.
	Packets []Packet
}

// Run lets a group run from before the capture until after its end.
func Run(g scenario.Group, duration time.Duration) Result {
	r := Result{Group: g}
	var packets []Packet
	for i, s := range g.Streams {
		frames, sessions, sent := send(g, i, duration)
		r.Streams = append(r.Streams, Stream{Stream: s, Number: i, Frames: frames, Sessions: sessions})
		packets = append(packets, sent...)
	}
	slices.SortStableFunc(packets, func(a, b Packet) int { return cmp.Compare(a.Sent, b.Sent) })

	r.run(packets, duration, true)
	for i := range r.Streams {
		s := &r.Streams[i]
		for j := range s.Frames {
			f := &s.Frames[j]
			f.Expected = Never
			if f.Arrived == f.Packets {
				f.Expected = f.ArrivedAt
			}
		}
		s.Calm = slices.Clone(s.Readings)
	}
	r.Packets = r.run(packets, duration, false)
	return r
}

// run returns what arrives, sorted; what is sent stays as it is.
func (r *Result) run(sent []Packet, duration time.Duration, clean bool) []Packet {
	for i := range r.Streams {
		s := &r.Streams[i]
		s.Readings, s.Losses = s.Readings[:0], nil
		for j := range s.Frames {
			f := &s.Frames[j]
			f.Arrived, f.Read, f.ArrivedAt, f.ReadAt = 0, 0, math.MinInt64, math.MinInt64
		}
	}
	l := newLink(r.Group, clean)
	arrived := make([]Packet, 0, len(sent))
	for i := range sent {
		p := sent[i]
		at, wouldHave := l.pass(&p)
		if at == Never {
			if p.Control == 0 {
				s := &r.Streams[p.Stream]
				s.Losses = append(s.Losses, Loss{At: wouldHave})
			}
			continue
		}
		p.Arrived = at
		arrived = append(arrived, p)
		if p.Control == 0 && uniform(r.Seed, forDuplicate, uint64(p.Stream), uint64(p.Frame), uint64(p.Index)) < r.Link.Duplicate {
			p.Arrived += 300 * time.Microsecond
			p.Duplicate = true
			arrived = append(arrived, p)
		}
	}
	slices.SortStableFunc(arrived, func(a, b Packet) int { return cmp.Compare(a.Arrived, b.Arrived) })

	sockets := make([]*socket, len(r.Streams))
	for i := range sockets {
		sockets[i] = newSocket(r.Group, i, clean)
	}
	for i := range arrived {
		p := &arrived[i]
		if p.Control != 0 {
			// Its socket is another, or it is too small to matter.
			continue
		}
		k, s := sockets[p.Stream], &r.Streams[p.Stream]
		s.Readings = k.readings(s.Readings, min(p.Arrived, duration))
		p.Read = k.receive(p)
		if p.Read == Never && !p.Duplicate {
			s.Losses = append(s.Losses, Loss{At: p.Arrived, Socket: true})
		}
		if p.Duplicate {
			continue
		}
		f := &s.Frames[p.Frame]
		f.Arrived++
		f.ArrivedAt = max(f.ArrivedAt, p.Arrived)
		if p.Read != Never {
			f.Read++
			f.ReadAt = max(f.ReadAt, p.Read)
		}
	}
	for i := range sockets {
		s := &r.Streams[i]
		s.Readings = sockets[i].readings(s.Readings, duration)
		slices.SortFunc(s.Losses, func(a, b Loss) int { return cmp.Compare(a.At, b.At) })
	}
	return arrived
}

// Visible returns how much later than expected a frame of the stream has to be
// for anyone at the tap to take it for more than the way's usual jitter.
func (r Result) Visible() time.Duration {
	return max(10*time.Millisecond, time.Duration(3*float64(r.Link.Jitter)))
}

// Captured returns the packets that arrived within the capture.
func (r Result) Captured(duration time.Duration) []Packet {
	begin, _ := slices.BinarySearchFunc(r.Packets, 0, func(p Packet, t time.Duration) int { return cmp.Compare(p.Arrived, t) })
	end, _ := slices.BinarySearchFunc(r.Packets, duration, func(p Packet, t time.Duration) int { return cmp.Compare(p.Arrived, t) })
	return r.Packets[begin:end]
}
