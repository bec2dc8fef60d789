package probe

import (
	"sync"

	tap "github.com/debugsidecar/debugsidecar/bpf/rtp"
)

// gaps are what the tap told of since they were taken.
type gaps struct {
	mu         sync.Mutex
	all, spare []tap.Gap
}

// mostGaps bounds what is remembered between two samples: beyond, counts are
// all that matters.
const mostGaps = 4096

func (g *gaps) add(gap tap.Gap) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.all) < mostGaps {
		g.all = append(g.all, gap)
	}
}

// take returns them, until the next call.
func (g *gaps) take() []tap.Gap {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := g.all
	g.all, g.spare = g.spare[:0], taken
	return taken
}
