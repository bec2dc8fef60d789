package debug

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// seen is what is known of a pod at a time.
type seen struct {
	pod  *corev1.Pod
	gone bool  // it was deleted, or another has its name
	err  error // the API server could not be asked; it is asked again
}

const (
	// pause is between two tries to reach the API server, and between two looks
	// where watching is not allowed.
	pause = time.Second / 2
	// lookWithin is how long an answer may take.
	lookWithin = 5 * time.Second
)

// watchPod tells how a pod changes from a version on, or as it is now and from
// there on if there is none. It ends with ctx. Where one may not watch, it looks
// again and again.
func (c *client) watchPod(ctx context.Context, pod *corev1.Pod, version string) <-chan seen {
	out := make(chan seen, 1)
	tell := func(s seen) bool {
		if s.pod != nil && s.pod.UID != pod.UID {
			s = seen{gone: true}
		}
		select {
		case out <- s:
			return !s.gone
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(out)
		for ctx.Err() == nil {
			if version == "" {
				now := c.look(ctx, pod)
				if !tell(now) {
					return
				}
				if now.pod == nil {
					sleep(ctx, pause)
					continue
				}
				version = now.pod.ResourceVersion
			}
			w, err := c.core.Pods(pod.Namespace).Watch(ctx, metav1.ListOptions{
				FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, pod.Name).String(),
				ResourceVersion: version,
			})
			version = "" // what it brings is known then
			switch {
			case apierrors.IsForbidden(err):
				for tell(c.look(ctx, pod)) {
					sleep(ctx, pause)
				}
				return
			case err == nil:
				if !drain(ctx, w, tell) {
					return
				}
			case ctx.Err() == nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err):
				if !tell(seen{err: err}) {
					return
				}
				sleep(ctx, pause)
			}
		}
	}()
	return out
}

// drain tells what a watch brings until it ends; false if there is no more to
// tell.
func drain(ctx context.Context, w apiwatch.Interface, tell func(seen) bool) bool {
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case e, ok := <-w.ResultChan():
			if !ok || e.Type == apiwatch.Error {
				sleep(ctx, pause/10)
				return true
			}
			pod, isPod := e.Object.(*corev1.Pod)
			switch {
			case e.Type == apiwatch.Deleted:
				return tell(seen{gone: true})
			case isPod && !tell(seen{pod: pod}):
				return false
			}
		}
	}
}

// look is how the pod is now.
func (c *client) look(ctx context.Context, pod *corev1.Pod) seen {
	// The client tries again and again; who waits is to be told of it.
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	now, err := c.core.Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return seen{gone: true}
	case err != nil:
		return seen{err: err}
	}
	return seen{pod: now}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// watchEvents tells the events of a pod, or of the container that is named by its
// path in it, until ctx ends. Where they may not be read, there are none: they say more, but nothing
// rests on them.
func (c *client) watchEvents(ctx context.Context, pod *corev1.Pod, path string) <-chan *corev1.Event {
	out := make(chan *corev1.Event, 16)
	go func() {
		defer close(out)
		which := fields.Set{"involvedObject.uid": string(pod.UID)}
		if path != "" {
			which["involvedObject.fieldPath"] = path
		}
		for ctx.Err() == nil {
			w, err := c.core.Events(pod.Namespace).Watch(ctx, metav1.ListOptions{FieldSelector: which.AsSelector().String()})
			if err != nil {
				return
			}
			for e := range w.ResultChan() {
				if event, ok := e.Object.(*corev1.Event); ok && e.Type != apiwatch.Deleted {
					select {
					case out <- event:
					case <-ctx.Done():
					}
				}
			}
			w.Stop()
			sleep(ctx, pause)
		}
	}()
	return out
}
