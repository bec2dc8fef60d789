package rtp

import (
	"testing"
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// lose plays 25 pictures a second of some packets each, of which those are lost
// that lost says, and returns the holes that were told, the last one as it grew.
func lose(t *testing.T, pictures, packets int, late map[int]time.Duration, lost func(picture, packet int) bool) (all []sample.Hole) {
	t.Helper()
	const every, ticks = 40 * time.Millisecond, 3600
	table, s := NewTable(), &source{ssrc: 1, payloadType: 96}
	var tracker Tracker
	next := sample.Interval
	tick := func() {
		now := packet(next, nil).At
		flows := table.Flows(nil, now)
		for _, g := range table.Gaps() {
			tracker.Gap(&g)
		}
		tracker.Update(flows, now, func(_ sample.Stream, _ *tap.Flow, m sample.Media) {
			if m.Hole.Probability == 0 {
				return
			}
			if n := len(all); n > 0 && all[n-1].From == m.Hole.From {
				all[n-1] = m.Hole
			} else {
				all = append(all, m.Hole)
			}
		})
		next += sample.Interval
	}
	waiting := map[time.Duration][]byte{}
	for i := range pictures {
		at := time.Duration(i) * every
		for at >= next {
			tick()
		}
		s.timestamp = uint32(i * ticks)
		for j := range packets {
			b := s.next(j == packets-1)
			switch {
			case late[i] > 0 && lost(i, j):
				waiting[at+late[i]] = b
			case !lost(i, j):
				table.Add(packet(at, b))
			}
		}
		for due, b := range waiting {
			if due <= at+every {
				table.Add(packet(at+1, b))
				delete(waiting, due)
			}
		}
	}
	return all
}

func TestPicturesAroundAGapAreMissingToo(t *testing.T) {
	for name, c := range map[string]struct {
		packets int
		lost    func(picture, packet int) bool
		missing int // pictures
	}{
		"within a picture":               {8, func(p, k int) bool { return p == 50 && k == 3 }, 1},
		"the end of one, the next begun": {8, func(p, k int) bool { return p == 50 && k > 4 || p == 51 && k < 4 }, 2},
		"two and the parts around":       {8, func(p, k int) bool { return p == 50 && k > 4 || p == 51 || p == 52 || p == 53 && k < 2 }, 4},
		"two gaps, in one after another": {8, func(p, k int) bool { return p == 50 && k == 3 || p == 51 && k == 3 }, 2},
		"one packet a picture":           {1, func(p, _ int) bool { return p >= 50 && p < 55 }, 5},
	} {
		t.Run(name, func(t *testing.T) {
			all := lose(t, 100, c.packets, nil, c.lost)
			if len(all) != 1 {
				t.Fatalf("holes %v", all)
			}
			want := time.Duration(c.missing+1) * 40 * time.Millisecond
			if got := all[0].To - all[0].From; got < want-5*time.Millisecond || got > want+5*time.Millisecond {
				t.Errorf("the gap of pictures is %v, want %v", got, want)
			}
		})
	}
}

func TestWhatCameAfterAllIsNoHole(t *testing.T) {
	all := lose(t, 100, 8, map[int]time.Duration{50: 40 * time.Millisecond}, func(p, k int) bool { return p == 50 && k == 3 })
	if len(all) != 0 {
		t.Errorf("holes %v", all)
	}
}

func TestHolesApartAreNotOne(t *testing.T) {
	if all := lose(t, 100, 8, nil, func(p, k int) bool { return (p == 50 || p == 60) && k == 3 }); len(all) != 2 {
		t.Errorf("holes %v", all)
	}
}

func TestPicturesThatASocketDroppedAreMissing(t *testing.T) {
	table, s := NewTable(), &source{ssrc: 1, payloadType: 96}
	var tracker Tracker
	var holes []sample.Hole
	dropped := uint64(0)
	for i := range 60 {
		at := time.Duration(i) * 40 * time.Millisecond
		s.timestamp = uint32(i * 3600)
		for j := range 4 {
			table.Add(packet(at, s.next(j == 3)))
			if i >= 40 && i < 45 && j == 2 {
				tracker.Drop(camera, viewer, 1, s.timestamp)
			}
		}
		if i%5 == 4 {
			now := packet(at+time.Millisecond, nil).At
			tracker.Update(table.Flows(nil, now), now, func(_ sample.Stream, _ *tap.Flow, m sample.Media) {
				dropped += m.Dropped
				if m.Hole.Probability > 0 {
					holes = append(holes, m.Hole)
				}
			})
		}
	}
	if len(holes) != 1 {
		t.Fatalf("holes %v", holes)
	}
	if !holes[0].Sure || dropped != 5 {
		t.Errorf("it may still come: %v; %d packets are placed", holes[0], dropped)
	}
	if got := holes[0].To - holes[0].From; got < 235*time.Millisecond || got > 245*time.Millisecond {
		t.Errorf("five pictures of 40 ms leave a gap of %v", got)
	}
	tracker.Drop(viewer, camera, 1, 7) // of a flow that nobody knows
}
