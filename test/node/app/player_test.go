package main

import (
	"testing"
	"time"
)

func TestPlayerSeesAStallOnlyWhenItsBufferIsEmpty(t *testing.T) {
	start := time.Unix(1000, 0)
	play := func(late func(frame int) time.Duration) []stall {
		p := player{depth: time.Second}
		for i := range 200 {
			sent := time.Duration(i) * 40 * time.Millisecond
			p.packet(uint32(i*3600), true, start.Add(sent+late(i)))
		}
		return p.stalls
	}
	if got := play(func(int) time.Duration { return 0 }); len(got) != 0 {
		t.Errorf("a stream in time: %v", got)
	}
	if got := play(func(i int) time.Duration {
		if i >= 100 {
			return 900 * time.Millisecond
		}
		return 0
	}); len(got) != 0 {
		t.Errorf("the buffer holds a delay of 0.9 s: %v", got)
	}
	got := play(func(i int) time.Duration {
		if i >= 100 {
			return 1500 * time.Millisecond
		}
		return 0
	})
	// Picture 99 is shown at 3.96 s + 1 s; 100 should be at 5 s and comes at 5.5 s.
	want := stall{start.Add(5 * time.Second), start.Add(5500 * time.Millisecond)}
	if len(got) != 1 || got[0] != want {
		t.Errorf("a delay of 1.5 s: %v, want %v", got, want)
	}
}
