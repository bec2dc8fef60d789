package rollout

import (
	"context"
	"fmt"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// Follower knows the state that the leader wrote last.
type Follower struct{ state atomic.Pointer[State] }

// Follow reads the ConfigMap of that name as often as it changes. The cache has
// to be limited to it.
func Follow(ctx context.Context, c cache.Cache, name string) (*Follower, error) {
	f := &Follower{}
	informer, err := c.GetInformer(ctx, &corev1.ConfigMap{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching the state of the canary: %w", err)
	}
	take := func(o any) {
		if m, ok := o.(*corev1.ConfigMap); ok && m.Name == name {
			s := read(m)
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
	return s != nil && s.Canary == id && s.Phase == Running
}
