package push

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

type counts map[string]int

func (c counts) add(outcome string, n int) { c[outcome] += n }

func TestTheLeastCriticalIsDroppedFirst(t *testing.T) {
	counted := counts{}
	q := newQueue(3, time.Minute, false, counted.add)
	now := time.Unix(1767225600, 0)
	q.add(raised(now, 0, warn.Stalled, time.Second), now)
	q.add(raised(now, 1, warn.Degraded, 0), now)
	q.add(raised(now, 2, warn.Degraded, 0), now)
	q.add(raised(now, 3, warn.StallPredicted, time.Second), now) // in the place of 1
	q.add(raised(now, 4, warn.Stalled, time.Second), now)        // in the place of 2
	q.add(raised(now, 5, warn.Degraded, 0), now)                 // no place
	var got string
	for _, e := range q.take(10, time.Time{}) {
		got += fmt.Sprint(e.alert.Kind, " ", e.alert.Stream, "; ")
	}
	want := "stall 10.20.0.7:5004; stall-predicted 10.20.0.7:5010; stall 10.20.0.7:5012; "
	if got != want {
		t.Errorf("left: %s\nwant: %s", got, want)
	}
	if counted["dropped"] != 3 {
		t.Errorf("%d are counted as dropped, 3 were", counted["dropped"])
	}
}

func TestWhatIsOnIsRepeatedUntilItIsCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10, time.Minute, true, counts{}.add)
		q.add(raised(time.Now(), 0, warn.Stalled, time.Second), time.Now())
		q.take(10, time.Time{})
		for range 5 {
			next := q.due(time.Now())
			if list := q.take(10, time.Time{}); len(list) != 0 {
				t.Fatalf("repeated too early: %v", list)
			}
			time.Sleep(time.Until(next))
			q.due(time.Now())
			if list := q.take(10, time.Time{}); len(list) != 1 || !list[0].ended.IsZero() || !list[0].repeat {
				t.Fatalf("not repeated: %v", list)
			}
		}
		q.add(raised(time.Now(), 0, warn.Clear, time.Second), time.Now())
		if list := q.take(10, time.Time{}); len(list) != 1 || list[0].ended.IsZero() {
			t.Fatalf("not ended: %v", list)
		}
		time.Sleep(time.Hour)
		q.due(time.Now())
		if list := q.take(10, time.Time{}); len(list) != 0 {
			t.Errorf("repeated after its end: %v", list)
		}
	})
}

func TestWhatIsTooOldIsGivenUp(t *testing.T) {
	counted := counts{}
	q := newQueue(10, time.Minute, false, counted.add)
	now := time.Unix(1767225600, 0)
	q.add(raised(now, 0, warn.Stalled, time.Second), now)
	q.add(raised(now, 1, warn.Stalled, time.Second), now.Add(time.Minute))
	if list := q.take(10, now.Add(time.Second)); len(list) != 1 || counted["expired"] != 1 {
		t.Errorf("%d are left, %d are counted as too old", len(list), counted["expired"])
	}
}

// Whatever happens, each alert that came in was sent, is waiting, or is counted
// as something else; the queue keeps its bound; of a state only the newest waits.
func TestTheQueueLosesNothingUncounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counted := counts{}
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		q := newQueue(limit, time.Minute, false, counted.add)
		now := time.Unix(1767225600, 0)
		in, sent := 0, 0
		var taken []entry
		t.Repeat(map[string]func(*rapid.T){
			"alert": func(t *rapid.T) {
				kind := rapid.SampledFrom([]warn.Kind{warn.Degraded, warn.StallPredicted, warn.Stalled, warn.Clear}).Draw(t, "kind")
				q.add(raised(now, rapid.IntRange(0, 5).Draw(t, "stream"), kind, time.Second), now)
				in++
			},
			"pass": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "s")) * time.Second) },
			"take": func(t *rapid.T) {
				taken = append(taken, q.take(rapid.IntRange(1, 3).Draw(t, "n"), now.Add(-5*time.Minute))...)
			},
			"sent": func(t *rapid.T) { sent, taken = sent+len(taken), nil },
			"back": func(t *rapid.T) { q.back(taken); taken = nil },
			"": func(t *rapid.T) {
				if n := q.length() + len(taken) + sent + counted["dropped"] + counted["expired"] + counted["suppressed"]; n != in {
					t.Fatalf("%d came in, %d are accounted for: %v", in, n, counted)
				}
				if q.length() > limit {
					t.Fatalf("%d wait, %d may", q.length(), limit)
				}
			},
		})
	})
}

func TestOfAStateOnlyTheNewestWaits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue(100, time.Minute, true, counts{}.add)
		now := time.Unix(1767225600, 0)
		on := map[int]bool{}
		var taken []entry
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Second)
			n := rapid.IntRange(0, 3).Draw(t, "stream")
			switch rapid.SampledFrom([]string{"raise", "clear", "take", "back"}).Draw(t, "what") {
			case "raise":
				q.add(raised(now, n, warn.Stalled, time.Second), now)
				on[n] = true
			case "clear":
				q.add(raised(now, n, warn.Clear, time.Second), now)
				on[n] = false
			case "take":
				if len(taken) == 0 { // one batch is under way at a time
					taken = q.take(2, time.Time{})
				}
			case "back":
				q.back(taken)
				taken = nil
			}
		}
		q.back(taken)
		seen := map[key]bool{}
		for _, e := range q.take(100, time.Time{}) {
			if seen[e.key] {
				t.Fatalf("two states of %v wait", e.key)
			}
			seen[e.key] = true
			for n := range on {
				if stream(n).Key() == e.key.stream && on[n] == !e.ended.IsZero() {
					t.Fatalf("%v: it is on: %v, what waits says that it ended at %v", e.key, on[n], e.ended)
				}
			}
		}
	})
}
