package rtp

import (
	"net/netip"
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// Tracker follows all flows of a tap, or of a Table, from snapshot to snapshot.
// The zero value is ready.
type Tracker struct {
	streams map[id]*tracked
	// byKey has one of each flow, wherever it was seen.
	byKey map[key]*tracked
	round uint64
}

// id is what tells flows of one tap apart.
type id struct {
	key
	device    int
	direction tap.Direction
}

type tracked struct {
	meter  Meter
	stream sample.Stream
	flow   tap.Flow
	round  uint64
	// heir began on the same addresses when this source had fallen silent.
	heir bool
	over bool
}

const (
	// heirAfter is how long a source is silent until its heir has taken its place,
	// overlap how long the last packet of the one may come after the other's first.
	heirAfter = 300 * time.Millisecond
	overlap   = 20 * time.Millisecond
)

// Update takes a snapshot of all flows, and calls each for every stream with its
// flow and what was added to it. A stream whose source goes on with another SSRC
// is replaced; one that is missing in the snapshot has ended.
func (t *Tracker) Update(flows []tap.Flow, now clock.Ktime, each func(sample.Stream, *tap.Flow, sample.Media)) {
	if t.streams == nil {
		t.streams, t.byKey = map[id]*tracked{}, map[key]*tracked{}
	}
	t.round++
	for i := range flows {
		f := &flows[i]
		k := id{key{f.Src, f.Dst, f.SSRC}, f.Interface, f.Direction}
		s := t.streams[k]
		if s == nil {
			s = &tracked{stream: sample.Stream{Src: f.Src, Dst: f.Dst, SSRC: f.SSRC}}
			t.streams[k] = s
			t.byKey[k.key] = s
			t.inherit(k, f)
		}
		s.round = t.round
		if f.Packets > s.flow.Packets {
			s.over = false // it sends again after all
		}
		s.flow = *f
		if s.over {
			continue
		}
		media := s.meter.Next(f)
		if s.heir && now > f.Last+clock.Ktime(heirAfter) {
			media.Replaced = true
		}
		s.over = media.Ended
		each(s.stream, f, media)
	}
	for k, s := range t.streams {
		if s.round == t.round && !s.flow.Ended {
			continue
		}
		if s.round != t.round && !s.over {
			each(s.stream, &s.flow, sample.Media{Known: true, Ended: true})
		}
		delete(t.streams, k)
		if t.byKey[k.key] == s {
			delete(t.byKey, k.key)
		}
	}
}

// Gap takes a gap that the tap, or the Table, told of since the last Update.
func (t *Tracker) Gap(g *tap.Gap) {
	if s := t.streams[id{key{g.Src, g.Dst, g.SSRC}, g.Interface, g.Direction}]; s != nil {
		s.meter.holes.add(g)
	}
}

// Drop takes the timestamp of a packet that the kernel dropped behind the tap.
func (t *Tracker) Drop(src, dst netip.AddrPort, ssrc, timestamp uint32) {
	if s := t.byKey[key{src, dst, ssrc}]; s != nil {
		s.meter.holes.drop(timestamp)
	}
}

// inherit finds sources that a new one may take the place of.
func (t *Tracker) inherit(of id, f *tap.Flow) {
	for k, s := range t.streams {
		if k.src == of.src && k.dst == of.dst && k.ssrc != of.ssrc && k.device == of.device && k.direction == of.direction &&
			s.flow.PayloadType == f.PayloadType && s.flow.Last <= f.First+clock.Ktime(overlap) {
			s.heir = true
		}
	}
}
