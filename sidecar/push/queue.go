package push

import (
	"slices"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// key is what an alert is about. A clear ends all kinds for its stream and
// buffer.
type key struct {
	stream string
	buffer time.Duration
	kind   warn.Kind
}

// entry is an alert that waits to be sent.
type entry struct {
	alert warn.Alert
	key   key
	// started is when the alert was first raised, ended when it was cleared; zero
	// while it is on.
	started, ended time.Time
	queued         time.Time
	// repeat is set on what was sent before, so that it counts for no latency.
	repeat bool
}

// critical entries are dropped last: a viewer's stall, and the end of any.
func (e *entry) critical() bool {
	return e.key.kind != warn.Degraded || !e.ended.IsZero()
}

// on is an alert that is raised and not cleared.
type on struct {
	entry
	sent time.Time // when it was last queued
}

// maxOn is how many alerts can be on; beyond it they are sent, but not repeated.
const maxOn = 4096

// queue holds what one receiver has still to get.
type queue struct {
	max    int
	repeat time.Duration
	// states is set for receivers that know alerts by their labels: of one
	// alert only the newest state is sent, and a clear becomes the end of what it
	// clears. Others get each line once.
	states  bool
	counted func(outcome string, n int)

	mu   sync.Mutex
	list []entry
	on   map[key]*on
	more chan struct{} // has a token when there may be something to send
}

func newQueue(max int, repeat time.Duration, states bool, counted func(string, int)) *queue {
	return &queue{max: max, repeat: repeat, states: states, counted: counted, on: map[key]*on{}, more: make(chan struct{}, 1)}
}

// add queues an alert, unless it says what the receiver knows.
func (q *queue) add(a warn.Alert, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := key{a.Stream.Key(), a.Buffer, a.Kind}
	if a.Kind == warn.Clear {
		q.clear(a, k, now)
		return
	}
	was := q.on[k]
	switch {
	case was == nil:
		e := entry{alert: a, key: k, started: a.At, queued: now}
		if len(q.on) < maxOn {
			q.on[k] = &on{e, now}
		}
		q.push(e)
	case was.alert.Cause == a.Cause && now.Sub(was.sent) < q.repeat:
		was.alert = a
		q.counted("suppressed", 1)
	default:
		was.alert, was.queued, was.sent = a, now, now
		q.push(was.entry)
	}
}

// clear ends what was raised for the stream and buffer.
func (q *queue) clear(a warn.Alert, k key, now time.Time) {
	for kind, was := range q.on {
		if kind.stream != k.stream || kind.buffer != k.buffer {
			continue
		}
		delete(q.on, kind)
		if q.states {
			was.ended, was.queued = a.At, now
			q.push(was.entry)
		}
	}
	if !q.states {
		q.push(entry{alert: a, key: k, started: a.At, ended: a.At, queued: now})
	}
}

// push appends an entry; q.mu is held.
func (q *queue) push(e entry) {
	if q.states {
		if i := slices.IndexFunc(q.list, func(have entry) bool { return have.key == e.key }); i >= 0 {
			q.list[i] = e
			q.wake()
			return
		}
	}
	q.list = append(q.list, e)
	q.trim()
	q.wake()
}

// trim drops what there is no room for: the oldest that is not critical, else the
// oldest.
func (q *queue) trim() {
	for len(q.list) > q.max {
		i := max(0, slices.IndexFunc(q.list, func(have entry) bool { return !have.critical() }))
		q.list = slices.Delete(q.list, i, i+1)
		q.counted("dropped", 1)
	}
}

func (q *queue) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// due queues the alerts that are on and whose receiver would end them if it did
// not hear of them again. It returns when to call it again.
func (q *queue) due(now time.Time) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	next := now.Add(q.repeat)
	if !q.states {
		return next
	}
	for _, was := range q.on {
		at := was.sent.Add(q.repeat)
		if at.After(now) {
			if at.Before(next) {
				next = at
			}
			continue
		}
		was.sent, was.queued = now, now
		e := was.entry
		e.repeat = true
		q.push(e)
	}
	return next
}

// take removes up to n entries, and gives up those that were queued before
// expired.
func (q *queue) take(n int, expired time.Time) []entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.list)
	q.list = slices.DeleteFunc(q.list, func(e entry) bool { return e.queued.Before(expired) })
	if gone := before - len(q.list); gone > 0 {
		q.counted("expired", gone)
	}
	n = min(n, len(q.list))
	taken := slices.Clone(q.list[:n])
	q.list = slices.Delete(q.list, 0, n)
	return taken
}

// back puts entries that could not be sent in front again, but for those of which
// there is a newer state by now.
func (q *queue) back(entries []entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	newer := map[key]bool{}
	if q.states {
		for _, e := range q.list {
			newer[e.key] = true
		}
	}
	var kept []entry
	for _, e := range entries {
		if !newer[e.key] {
			kept = append(kept, e)
		}
	}
	q.list = append(kept, q.list...)
	q.trim()
}

// end ends the alerts of a stream that are on, or those of all for "": nobody
// watches it any more.
func (q *queue) end(stream string, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for k, was := range q.on {
		if stream != "" && k.stream != stream {
			continue
		}
		delete(q.on, k)
		if q.states {
			was.ended, was.queued = now, now
			q.push(was.entry)
		}
	}
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list)
}
