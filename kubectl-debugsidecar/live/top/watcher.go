package top

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/ask"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
)

// watcher knows which probes there are and what they say.
type watcher struct {
	namespace string
	interval  time.Duration
	sources   []*pods
	poller    *poller
	changed   chan struct{}
}

func newWatcher(core corev1.PodsGetter, client *ask.Client, namespace string, names []string, interval time.Duration) *watcher {
	w := &watcher{namespace: namespace, interval: interval, changed: make(chan struct{}, 1), poller: newPoller(interval, client.Ask)}
	if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names {
		w.sources = append(w.sources, newPods(core, namespace, name, func() {
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}))
	}
	return w
}

// start returns once pods were listed. The end that it returns waits until nothing
// of it runs.
func (w *watcher) start(ctx context.Context) (end func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	end = func() {
		cancel()
		all.Wait()
		w.poller.wait()
	}
	for _, s := range w.sources {
		all.Go(func() { s.run(ctx) })
	}
	for _, s := range w.sources {
		if err := s.wait(ctx); err != nil {
			end()
			return nil, err
		}
	}
	w.reconcile(ctx)
	all.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.changed:
				w.reconcile(ctx)
			}
		}
	})
	return end, nil
}

func (w *watcher) reconcile(ctx context.Context) {
	var list []probes.Probe
	for _, s := range w.sources {
		list = append(list, s.all()...)
	}
	w.poller.set(ctx, list)
}

// rows is what there is to see now.
func (w *watcher) rows(now time.Time) []row {
	all := rows(w.poller.snapshot(), w.interval, now)
	for _, s := range w.sources {
		if why := s.lacks(); why != "" {
			probe := &state{Probe: probes.Probe{Namespace: w.namespace, Pod: s.only}}
			all = append(all, row{Namespace: w.namespace, Pod: s.only, Kind: kindWaiting, Why: why, detail: &detail{probe: probe}})
		}
	}
	return all
}

// problem says why the list of pods may be old; empty if it is not.
func (w *watcher) problem() string {
	for _, s := range w.sources {
		if p := s.problem(); p != "" {
			return p
		}
	}
	return ""
}

// where is for people.
func (w *watcher) where() string {
	if w.namespace == metav1.NamespaceAll {
		return "all namespaces"
	}
	return "namespace " + w.namespace
}

// twice returns when each probe was asked twice, as rates take, or did not answer.
func (w *watcher) twice(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*ask.Timeout+2*w.interval)
	defer cancel()
	for {
		done := true
		for _, s := range w.poller.snapshot() {
			done = done && (s.Waits != "" || s.asked >= 2 || s.err != nil)
		}
		if done {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
