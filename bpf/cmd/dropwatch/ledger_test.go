package main

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/bpf/drop"
)

// Whatever events are lost or late, the lines of a key sum up to its counter,
// and never to more on the way.
func TestLinesSumUpToTheCounters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		detail := rapid.Bool().Draw(t, "detail")
		l := newLedger(detail)
		reasons := []string{"NO_SOCKET", "SOCKET_RCVBUFF"}
		counters := map[string]uint64{}
		told := map[string]uint64{}
		var late []drop.Event // counted, but not read yet
		var lost, blank uint64
		tell := func(lines []line) {
			for _, line := range lines {
				if line.count == 0 {
					t.Fatalf("a line of nothing: %+v", line)
				}
				told[line.reason] += line.count
				if !line.dst.IsValid() {
					blank += line.count
				}
				if told[line.reason] > counters[line.reason] {
					t.Fatalf("%s: %d told, %d counted", line.reason, told[line.reason], counters[line.reason])
				}
			}
		}
		counts := func() (all []drop.Count) {
			for reason, n := range counters {
				if n > 0 {
					all = append(all, drop.Count{Reason: reason, Drops: n})
				}
			}
			return all
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			for range rapid.IntRange(0, 20).Draw(t, "drops") {
				e := drop.Event{
					Reason: rapid.SampledFrom(reasons).Draw(t, "reason"),
					Dst:    netip.AddrPortFrom(netip.IPv4Unspecified(), rapid.Uint16Range(1, 3).Draw(t, "port")),
				}
				counters[e.Reason]++
				switch rapid.IntRange(0, 2).Draw(t, "fate") {
				case 0:
					l.event(e)
				case 1:
					late = append(late, e)
				default:
					lost++ // the ring was full
				}
			}
			if rapid.Bool().Draw(t, "late ones come") {
				for _, e := range late {
					l.event(e)
				}
				late = nil
			}
			tell(l.tick(time.Time{}, counts(), lost, false))
		}
		tell(l.tick(time.Time{}, counts(), lost, true))
		if detail && len(late) == 0 && lost == 0 && blank != 0 {
			t.Fatalf("%d told without addresses, and no event was lost", blank)
		}
		for reason, n := range counters {
			if told[reason] != n {
				t.Fatalf("%s: %d told, %d counted", reason, told[reason], n)
			}
		}
		if more := l.tick(time.Time{}, counts(), lost, true); len(more) > 0 {
			t.Fatalf("told twice: %+v", more)
		}
	})
}

// What is not lost has its addresses.
func TestEventsThatArriveKeepTheirAddresses(t *testing.T) {
	l := newLedger(true)
	e := drop.Event{Reason: "NO_SOCKET", Src: netip.MustParseAddrPort("10.0.0.1:1"), Dst: netip.MustParseAddrPort("10.0.0.2:5004")}
	counts := []drop.Count{{Reason: "NO_SOCKET", Drops: 3}}
	l.event(e)
	l.event(e)
	lines := l.tick(time.Time{}, counts, 0, false) // the third is on its way
	if len(lines) != 1 || lines[0].count != 2 || lines[0].dst != e.Dst {
		t.Fatalf("%+v", lines)
	}
	l.event(e)
	if lines = l.tick(time.Time{}, counts, 0, false); len(lines) != 1 || lines[0].count != 1 || lines[0].src != e.Src {
		t.Fatalf("%+v", lines)
	}
	if lines = l.tick(time.Time{}, counts, 0, true); len(lines) != 0 {
		t.Fatalf("%+v", lines)
	}
}
