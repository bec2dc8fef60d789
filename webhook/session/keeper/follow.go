package keeper

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	toolswatch "k8s.io/client-go/tools/watch"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// page is how many pods' metadata are read at once.
const page = 250

// follower sees the metadata of all pods go by, and keeps none.
type follower struct {
	pods metadata.ResourceInterface
	log  *slog.Logger
}

// follow calls found with each pod that may have a session, at first and whenever
// its metadata changes, and listed when all were seen once; until ctx ends.
func (f *follower) follow(ctx context.Context, found func(types.NamespacedName), listed func()) {
	const least, longest = time.Second, 30 * time.Second
	wait := least
	for {
		began := time.Now()
		err := f.once(ctx, found, listed)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longest {
			wait = least
		}
		f.log.Info("the watch of pods for debug sessions begins anew", "in", wait.String(), "why", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

func (f *follower) once(ctx context.Context, found func(types.NamespacedName), listed func()) error {
	version, err := f.list(ctx, found)
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	listed()
	w, err := toolswatch.NewRetryWatcherWithContext(ctx, version, watcher{f.pods})
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		switch o := e.Object.(type) {
		case *metav1.PartialObjectMetadata:
			if e.Type != watch.Bookmark && mayHaveSession(&o.ObjectMeta) {
				found(types.NamespacedName{Namespace: o.Namespace, Name: o.Name})
			}
		case *metav1.Status:
			return fmt.Errorf("watching pods: %s", o.Message)
		}
	}
	return fmt.Errorf("the API server ended it")
}

func (f *follower) list(ctx context.Context, found func(types.NamespacedName)) (version string, err error) {
	for next := ""; ; {
		pods, err := f.pods.List(ctx, metav1.ListOptions{Limit: page, Continue: next})
		if err != nil {
			return "", err
		}
		for i := range pods.Items {
			if m := &pods.Items[i].ObjectMeta; mayHaveSession(m) {
				found(types.NamespacedName{Namespace: m.Namespace, Name: m.Name})
			}
		}
		// That of the first page: all pages are as of then.
		if version == "" {
			version = pods.ResourceVersion
		}
		if next = pods.Continue; next == "" {
			return version, nil
		}
	}
}

// watcher watches as RetryWatcher wants it.
type watcher struct{ pods metadata.ResourceInterface }

func (w watcher) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.AllowWatchBookmarks = true // or it begins too far back after an hour without a pod
	return w.pods.Watch(ctx, o)
}

// mayHaveSession tells by its metadata whether a pod may have a session: it is a
// copy, an ephemeral container was added, or we have written into it.
func mayHaveSession(m *metav1.ObjectMeta) bool {
	if _, isCopy := m.Labels[session.CopyOfLabel]; isCopy {
		return true
	}
	for i := range m.ManagedFields {
		if e := &m.ManagedFields[i]; e.Subresource == "ephemeralcontainers" || e.Manager == FieldManager {
			return true
		}
	}
	return false
}

var podsResource = corev1.SchemeGroupVersion.WithResource("pods")
