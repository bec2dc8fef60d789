package rollout

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// Follower knows the state that the leader wrote last.
type Follower struct {
	state atomic.Pointer[State]
	delay time.Duration
}

// Follow reads the ConfigMap of that name as often as it changes. The cache has
// to be limited to it. A canary runs a delay after it began: until then another
// replica may not have read the configuration that it is in, and would not know
// its sidecar.
func Follow(ctx context.Context, c cache.Cache, name string, delay time.Duration) (*Follower, error) {
	f := &Follower{delay: delay}
	informer, err := c.GetInformer(ctx, &corev1.ConfigMap{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching the state of the canary: %w", err)
	}
	take := func(o any) {
		if m, ok := o.(*corev1.ConfigMap); ok && m.Name == name {
			s, err := read(m)
			if err != nil {
				s = State{}
			}
			f.state.Store(&s)
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    take,
		UpdateFunc: func(_, o any) { take(o) },
		DeleteFunc: func(any) { f.state.Store(nil) },
	})
	return f, err
}

// Runs says whether the canary of this ID is given to new pods.
func (f *Follower) Runs(id string) bool {
	s := f.state.Load()
	return s != nil && s.Canary == id && s.Phase == Running && time.Since(s.Since) >= f.delay
}
