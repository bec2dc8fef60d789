package warn_test

import (
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// All pictures are late by 0.6 s, one by 160 ms more, and those behind it have
// come by the sample's end: viewers whose buffers are empty miss some, which the
// newest picture does not show.
func TestPictureThatIsLateWithinASampleIsAStall(t *testing.T) {
	const from, at = 20 * time.Second, 30*time.Second + 10*time.Millisecond
	for _, told := range []bool{false, true} {
		shots := film(40*time.Second, 30, 0, 1)
		late := -1
		for i := range shots {
			if s := &shots[i]; s.taken >= from {
				s.arrives += 600 * time.Millisecond
				if late < 0 && s.arrives >= at {
					late = i
					s.arrives += 160 * time.Millisecond
				}
				s.arrives = max(s.arrives, shots[i-1].arrives)
			}
		}
		all := samples(shots, 40*time.Second)
		for i := range all {
			all[i].Media.Told = true
			if before, after := shots[late-1], shots[late]; told && all[i].At > start+clock.Ktime(after.arrives) && all[i-1].At <= start+clock.Ktime(after.arrives) {
				all[i].Media.Wait = sample.Wait{
					Since: start + clock.Ktime(before.arrives), Until: start + clock.Ktime(after.arrives), Before: before.taken, After: after.taken,
				}
			}
		}
		alerts, _ := run(all, warn.Options{})
		for _, depth := range warn.DefaultBuffers() {
			lines := 0
			for _, a := range of(alerts, warn.Stalled, depth) {
				if since(a) > at-time.Second {
					lines++
				}
			}
			want := 0
			if told && depth < 600*time.Millisecond {
				want = 1
			}
			if lines != want {
				t.Errorf("told %v, %v: %d stall lines, want %d", told, depth, lines, want)
			}
		}
	}
}

// A camera's gap that is known to the picture is a stall when its pictures are
// due, for each depth, and one that is too short is none.
func TestWaitInTheMediaIsAStallWhenItIsShown(t *testing.T) {
	for gap, stalls := range map[time.Duration]bool{165 * time.Millisecond: false, 195 * time.Millisecond: true} {
		const at = 30 * time.Second
		shots := film(40*time.Second, 30, 0, 1)
		for i := range shots {
			if shots[i].taken >= at {
				shots[i].taken += gap - time.Second/30
				shots[i].arrives += gap - time.Second/30
			}
		}
		all := samples(shots, 40*time.Second)
		for i := range all {
			all[i].Media.Told = true
			for j := 1; j < len(shots); j++ {
				before, after := shots[j-1], shots[j]
				if after.arrives-before.arrives >= 100*time.Millisecond && all[i].At > start+clock.Ktime(after.arrives) && all[i-1].At <= start+clock.Ktime(after.arrives) {
					all[i].Media.Wait = sample.Wait{
						Since: start + clock.Ktime(before.arrives), Until: start + clock.Ktime(after.arrives), Before: before.taken, After: after.taken,
					}
				}
			}
		}
		alerts, _ := run(all, warn.Options{})
		for _, depth := range warn.DefaultBuffers() {
			lines := of(alerts, warn.Stalled, depth)
			if (len(lines) == 1) != stalls || len(lines) > 1 {
				t.Errorf("a gap of %v, depth %v: %v", gap, depth, lines)
			} else if stalls && (since(lines[0]) < at+depth || since(lines[0]) > at+depth+gap+200*time.Millisecond) {
				t.Errorf("depth %v: told at %v", depth, since(lines[0]))
			}
		}
	}
}
