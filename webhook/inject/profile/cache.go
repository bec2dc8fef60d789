package profile

import "sync"

const (
	// cacheSize bounds how many entries a cache keeps, and cacheKeyBytes how long
	// a key may be: parameters are chosen by the owners of pods.
	cacheSize     = 256
	cacheKeyBytes = 4 << 10
)

// bounded is a cache: most pods of a profile want the same.
type bounded[K comparable, V any] struct {
	mu      sync.RWMutex
	entries map[K]V
}

func newBounded[K comparable, V any]() *bounded[K, V] {
	return &bounded[K, V]{entries: map[K]V{}}
}

func (c *bounded[K, V]) get(key K) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.entries[key]
	return v, ok
}

func (c *bounded[K, V]) put(key K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= cacheSize {
		clear(c.entries) // rare; what is in use comes back at once
	}
	c.entries[key] = v
}

// cacheKey names what a sidecar is rendered for.
type cacheKey struct {
	Variant
	params      string
	port        int32
	resources   Resources
	hostNetwork bool
	level       string
}

func (in Input) key() cacheKey {
	return cacheKey{in.Variant, in.Params.key, in.Port, in.Resources, in.HostNetwork, in.SELinuxLevel}
}
