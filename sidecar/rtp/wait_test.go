package rtp

import (
	"testing"
	"time"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// pictures plays H.264, 25 pictures a second of four packets each, the picture that
// at says at each place, and returns the waits and the longest hole that samples
// tell of. lost says which packets are, late by how much a picture is.
func pictures(t *testing.T, at func(place int) int, lost func(picture, packet int) bool, late func(picture int) time.Duration) (waits []sample.Wait, hole time.Duration) {
	t.Helper()
	const every = 40 * time.Millisecond
	table, s := NewTable(), &source{ssrc: 1, payloadType: 96}
	var tracker Tracker
	next := sample.Interval
	for place := range 200 {
		picture := at(place)
		arrives := time.Duration(place)*every + late(picture)
		for arrives >= next {
			now := packet(next, nil).At
			flows := table.Flows(nil, now)
			for _, g := range table.Gaps() {
				tracker.Gap(&g)
			}
			tracker.Update(flows, now, func(_ sample.Stream, _ *tap.Flow, m sample.Media) {
				if m.Wait.Until > 0 {
					waits = append(waits, m.Wait)
				}
				hole = max(hole, m.Hole.To-m.Hole.From)
				if !m.Told {
					t.Error("not all is told")
				}
			})
			next += sample.Interval
		}
		s.timestamp = uint32(picture * 3600)
		for j := range 4 {
			fragment := byte(0x01)
			if j == 0 {
				fragment = 0x81
			}
			if p := append(s.next(j == 3)[:headerSize], 0x5c, fragment, 0x9a, 0); !lost(picture, j) {
				table.Add(packet(arrives+time.Duration(j)*time.Millisecond, p))
			}
		}
	}
	return waits, hole
}

func inOrder(place int) int { return place }

func inTime(int) time.Duration { return 0 }

func none(int, int) bool { return false }

// What is late within a sample is told, though the newest picture is in time.
func TestWaitIsToldToThePicture(t *testing.T) {
	waits, _ := pictures(t, inOrder, none, func(p int) time.Duration {
		if p < 100 {
			return 0
		}
		// Those behind it come when it has.
		return max(0, 110-36*time.Duration(p-100)) * time.Millisecond
	})
	if len(waits) != 1 {
		t.Fatalf("waits %v", waits)
	}
	w := waits[0]
	if got := time.Duration(w.Until - w.Since); got != 150*time.Millisecond || w.After-w.Before != 40*time.Millisecond {
		t.Errorf("nothing for %v between pictures %v apart", got, w.After-w.Before)
	}
}

// A picture that misses a packet does not end a wait, one that is whole does.
func TestOnlyWholePicturesEndAWait(t *testing.T) {
	broken := func(p, j int) bool { return p >= 100 && p < 103 && j == 2 }
	waits, hole := pictures(t, inOrder, broken, inTime)
	if len(waits) != 1 || waits[0].After-waits[0].Before != 160*time.Millisecond {
		t.Errorf("waits %v", waits)
	}
	if hole != 160*time.Millisecond {
		t.Errorf("a hole of %v", hole)
	}
	// The ends of one and the beginning of another: the two between are whole.
	waits, hole = pictures(t, inOrder, func(p, j int) bool { return p == 100 && j == 3 || p == 103 && j == 0 }, inTime)
	if len(waits) != 0 || hole > 85*time.Millisecond {
		t.Errorf("waits %v, a hole of %v: each broken picture stands alone", waits, hole)
	}
	// All of three, and nothing of those around.
	waits, hole = pictures(t, inOrder, func(p, _ int) bool { return p >= 100 && p < 103 }, inTime)
	if len(waits) != 1 || waits[0].After-waits[0].Before != 160*time.Millisecond || hole != 160*time.Millisecond {
		t.Errorf("waits %v, a hole of %v", waits, hole)
	}
}

// Where pictures refer to later ones, two that are broken one after the other may
// be far apart, and those that are apart may make one hole.
func TestHolesOfPicturesOutOfOrder(t *testing.T) {
	swapped := func(place int) int { return place + [...]int{2, -1, -1}[place%3] } // P B B
	_, hole := pictures(t, swapped, func(p, j int) bool { return p == 101 && j == 3 || p == 104 && j == 0 }, inTime)
	if hole > 85*time.Millisecond {
		t.Errorf("a hole of %v: 102 and 103 are whole", hole)
	}
	_, hole = pictures(t, swapped, func(p, j int) bool { return p >= 100 && p <= 104 && j == 2 }, inTime)
	if hole < 235*time.Millisecond || hole > 245*time.Millisecond {
		t.Errorf("a hole of %v, of five pictures in a row", hole)
	}
}
