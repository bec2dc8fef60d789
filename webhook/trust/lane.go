package trust

import (
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

const (
	// trustFor is how long a verified signature is believed. A key that is taken out
	// of the configuration counts no more at once.
	trustFor = time.Hour
	// refuseFor is how long it is believed that there is none: who signs and tries
	// again is not kept waiting.
	refuseFor = 10 * time.Second
	// A tag's digest is asked for again after tagFresh; the one of before is used
	// for tagStale if the registry does not answer.
	tagFresh = 90 * time.Second
	tagStale = time.Hour

	maxRemembered = 4096
	maxFlights    = 4 // at once
	// breakAfter questions in a row without an answer, a registry is left alone for
	// breakFor.
	breakAfter = 5
	breakFor   = 10 * time.Second
)

// Whose says who named an image.
type Whose int

// What the administrator's configuration names must not suffer from what tenants
// name, so each has its own bounds.
const (
	Administrator Whose = iota
	Tenant
)

// lane is what the questions of one kind share.
type lane struct {
	flights  singleflight.Group
	slots    *semaphore.Weighted
	verified *cache[string]   // digest and key, to the key
	refused  *cache[*Failure] // policy, repository and digest or tag
	tags     *cache[string]   // policy, repository and tag, to the digest

	mu       sync.Mutex
	breakers map[string]*gobreaker.CircuitBreaker[string]
}

func newLane() *lane {
	return &lane{
		slots:    semaphore.NewWeighted(maxFlights),
		verified: newCache[string](trustFor, maxRemembered),
		refused:  newCache[*Failure](refuseFor, maxRemembered),
		tags:     newCache[string](tagStale, maxRemembered),
		breakers: map[string]*gobreaker.CircuitBreaker[string]{},
	}
}

// verifiedBy returns the key of the policy that signed a digest, as far as that is
// remembered, and how long ago that was seen.
func (l *lane) verifiedBy(p *Policy, digest string, now time.Time) (*key, time.Duration) {
	for _, k := range p.keys {
		if _, age, ok := l.verified.get(digest+" "+k.id, now); ok {
			return k, age
		}
	}
	return nil, 0
}

// breaker is a registry's, under one policy: a new one may have other settings.
func (l *lane) breaker(p *Policy, host string) *gobreaker.CircuitBreaker[string] {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := p.id + " " + host
	b, ok := l.breakers[name]
	if !ok {
		if len(l.breakers) > 256 { // policies come and go
			clear(l.breakers)
		}
		b = gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
			Name:        name,
			Timeout:     breakFor,
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= breakAfter },
		})
		l.breakers[name] = b
	}
	return b
}
