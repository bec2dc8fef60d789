package admit

import (
	"sync"
	"time"
)

// An API server sends a request again if a webhook after this one changed it, as
// another review with another UID. The stamp is then in it already and has to
// stay, with its time; but a stamp in a request proves nothing, or anybody could
// bring one. So it counts if this replica wrote it, to the letter, a moment ago,
// for the same user and container. An API server talks to one replica over one
// connection, so that is the rule; where it is another one, the stamp is written
// anew, a moment later.
const (
	rememberFor = 40 * time.Second // above the longest timeout of a request with reviews
	remembered  = 1024
)

type stampKey struct{ namespace, pod, container, user string }

type issued struct {
	key stampKey
	*stamped
}

// stamps remembers those that were written lately, the newest ones first to come
// and last to go.
type stamps struct {
	now func() time.Time

	mu   sync.Mutex
	ring [remembered]issued
	next int
}

func newStamps() *stamps { return &stamps{now: time.Now} }

func (s *stamps) remember(key stampKey, stamp *stamped) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring[s.next] = issued{key, stamp}
	s.next = (s.next + 1) % remembered
}

// find returns the stamp that a request of that UID led to.
func (s *stamps) find(key stampKey, request string) (*stamped, bool) {
	if request == "" {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ring {
		if was := &s.ring[i]; was.stamped != nil && was.request == request && was.key == key && s.now().Sub(was.since) < rememberFor {
			return was.stamped, true
		}
	}
	return nil, false
}
