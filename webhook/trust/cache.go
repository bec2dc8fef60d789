package trust

import (
	"sync"
	"time"
)

// cache remembers answers for a time. It never grows above its bound: what tenants
// name could fill it.
type cache[V any] struct {
	ttl time.Duration
	max int

	mu      sync.Mutex
	entries map[string]entry[V]
}

type entry[V any] struct {
	value V
	since time.Time
}

func newCache[V any](ttl time.Duration, max int) *cache[V] {
	return &cache[V]{ttl: ttl, max: max, entries: map[string]entry[V]{}}
}

// get returns what is remembered, and how old it is.
func (c *cache[V]) get(key string, now time.Time) (value V, age time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if age = now.Sub(e.since); !ok || age >= c.ttl {
		return value, 0, false
	}
	return e.value, age, true
}

func (c *cache[V]) put(key string, value V, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; !ok && len(c.entries) >= c.max {
		c.makeRoom(now)
	}
	c.entries[key] = entry[V]{value, now}
}

// makeRoom forgets what is too old, or else any: the order of a map is random, so
// nobody can choose which.
func (c *cache[V]) makeRoom(now time.Time) {
	for key, e := range c.entries {
		if now.Sub(e.since) >= c.ttl {
			delete(c.entries, key)
		}
	}
	for key := range c.entries {
		if len(c.entries) < c.max {
			return
		}
		delete(c.entries, key)
	}
}
