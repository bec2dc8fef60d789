package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/drop"
)

// key is what drops are counted by.
type key struct {
	netns  uint32
	reason string
	family uint16
	proto  uint8
}

// line is an increase of one key's count: of one flow where src and dst are
// valid, else of what nobody can tell apart.
type line struct {
	key
	at       time.Time
	src, dst netip.AddrPort
	count    uint64
}

// flow is packets of one key from one address to another.
type flow struct {
	key
	src, dst netip.AddrPort
}

// ledger makes lines of events and counters so that the lines of a key sum up
// to its counter: counters miss nothing, events may be lost. An event is told
// of by itself; what a counter has beyond the events waits for one tick, since
// its event may be on the way, and is then told of without addresses, but never
// more than events were lost.
type ledger struct {
	detail  bool // there are events
	pending map[flow]uint64
	order   []flow
	told    map[key]uint64
	before  map[key]uint64 // what the counter was at the tick before
	blank   uint64         // what was told of without addresses
}

func newLedger(detail bool) *ledger {
	return &ledger{detail: detail, pending: map[flow]uint64{}, told: map[key]uint64{}, before: map[key]uint64{}}
}

// event takes one drop.
func (l *ledger) event(e drop.Event) {
	f := flow{key{e.Netns, e.Reason, e.Family, e.Proto}, e.Src, e.Dst}
	if l.pending[f] == 0 {
		l.order = append(l.order, f)
	}
	l.pending[f]++
}

// tick takes the counters, and how many events were lost, as they are after the
// events that were taken before, and returns what is new. At the end nothing
// waits.
func (l *ledger) tick(now time.Time, counts []drop.Count, lost uint64, end bool) (lines []line) {
	counters := make(map[key]uint64, len(counts))
	for _, c := range counts {
		counters[key{c.Netns, c.Reason, c.Family, c.Proto}] = c.Drops
	}
	// An event is counted before it is told, but counters are read a moment
	// before or after: never tell more than was counted.
	var later []flow
	for _, f := range l.order {
		n := min(l.pending[f], counters[f.key]-l.told[f.key])
		if n > 0 {
			lines = append(lines, line{f.key, now, f.src, f.dst, n})
			l.told[f.key] += n
		}
		if rest := l.pending[f] - n; rest > 0 {
			l.pending[f] = rest
			later = append(later, f)
		} else {
			delete(l.pending, f)
		}
	}
	l.order = later
	for k, counted := range counters {
		due := counted - l.told[k]
		if l.detail && !end {
			due = min(max(l.before[k], l.told[k])-l.told[k], max(lost, l.blank)-l.blank)
		}
		if due > 0 {
			lines = append(lines, line{key: k, at: now, count: due})
			l.told[k] += due
			l.blank += due
		}
		l.before[k] = counted
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		if c := strings.Compare(a.reason, b.reason); c != 0 {
			return c
		}
		return int(a.netns) - int(b.netns)
	})
	return lines
}

// sums returns what was told of each key, the most first.
func (l *ledger) sums() (all []line) {
	for k, n := range l.told {
		all = append(all, line{key: k, count: n})
	}
	slices.SortFunc(all, func(a, b line) int {
		if a.count != b.count {
			return int(min(b.count, 1<<62)) - int(min(a.count, 1<<62))
		}
		return strings.Compare(a.reason, b.reason)
	})
	return all
}
