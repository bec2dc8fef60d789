package top

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// pods knows the probes of a namespace, or of all: it lists pods once and then
// watches, and keeps of each what matters here. Where one may not watch, it lists
// again, ever more seldom.
type pods struct {
	client   typedcorev1.PodsGetter
	where    string
	only     string // one pod's name; empty for all
	changed  func()
	listed   chan struct{} // closed with the first list
	failed   chan error    // has the first error, if it comes before a list
	listOnce sync.Once

	mu     sync.Mutex
	probes map[string]probes.Probe // by namespace/pod
	seen   map[string]bool         // pods that there are, if only one is meant
	err    error                   // why what is known may be old
}

func newPods(client typedcorev1.PodsGetter, namespace, only string, changed func()) *pods {
	return &pods{
		client: client, where: namespace, only: only, changed: changed,
		listed: make(chan struct{}), failed: make(chan error, 1), probes: map[string]probes.Probe{}, seen: map[string]bool{},
	}
}

// run keeps it true until ctx ends.
func (p *pods) run(ctx context.Context) {
	cache.NewReflectorWithOptions(p, &corev1.Pod{}, p, cache.ReflectorOptions{Name: "pods"}).RunWithContext(ctx)
}

// running leaves out pods that ended.
const running = "status.phase!=Succeeded,status.phase!=Failed"

func (p *pods) options(o metav1.ListOptions) metav1.ListOptions {
	o.FieldSelector = running
	if p.only != "" {
		// So that rights for this name are enough.
		o.FieldSelector = "metadata.name=" + p.only
	}
	return o
}

// List is cache.Lister's.
func (p *pods) List(o metav1.ListOptions) (runtime.Object, error) {
	return p.ListWithContext(context.Background(), o)
}

// Watch is cache.Watcher's.
func (p *pods) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return p.WatchWithContext(context.Background(), o)
}

// ListWithContext is cache.ListerWithContext's.
func (p *pods) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	list, err := p.client.Pods(p.where).List(ctx, p.options(o))
	if err == nil {
		return list, nil
	}
	if ctx.Err() == nil {
		select {
		case p.failed <- err:
		default:
		}
		p.note(err)
	}
	return list, err
}

// WatchWithContext is cache.WatcherWithContext's.
func (p *pods) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	w, err := p.client.Pods(p.where).Watch(ctx, p.options(o))
	switch {
	case err == nil:
		p.note(nil)
	case ctx.Err() == nil:
		p.note(err)
	}
	return w, err
}

// IsWatchListSemanticsUnSupported keeps the list apart from the watch: who may not
// watch may still list.
func (p *pods) IsWatchListSemanticsUnSupported() bool { return true }

func (p *pods) note(err error) {
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	p.changed()
}

// problem says why the list of pods may be old; empty if it is not.
func (p *pods) problem() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err == nil:
		return ""
	case apierrors.IsForbidden(p.err):
		return "you may not watch pods, so new ones are seen late"
	}
	return "the list of pods may be old: " + session.Text(p.err.Error())
}

// all are the probes, by name.
func (p *pods) all() []probes.Probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]probes.Probe, 0, len(p.probes))
	for _, one := range p.probes {
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b probes.Probe) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

// lacks says why the one pod that is meant has no row; empty if it has one.
func (p *pods) lacks() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.only == "" || len(p.probes) > 0:
		return ""
	case len(p.seen) == 0:
		return "there is no such pod"
	}
	return "the pod has no probe: label it debugsidecar.io/inject=video-probe and create it again"
}

// Add, Update, Delete, Replace and Resync are cache.ReflectorStore's.
func (p *pods) Add(obj any) error {
	p.mu.Lock()
	p.put(obj)
	p.mu.Unlock()
	p.changed()
	return nil
}

// Update takes a pod that changed.
func (p *pods) Update(obj any) error { return p.Add(obj) }

// Delete forgets a pod.
func (p *pods) Delete(obj any) error {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return fmt.Errorf("%T is no pod", obj)
	}
	p.mu.Lock()
	delete(p.probes, pod.Namespace+"/"+pod.Name)
	delete(p.seen, pod.Namespace+"/"+pod.Name)
	p.mu.Unlock()
	p.changed()
	return nil
}

// Replace takes a list.
func (p *pods) Replace(list []any, _ string) error {
	p.mu.Lock()
	clear(p.probes)
	clear(p.seen)
	for _, obj := range list {
		p.put(obj)
	}
	p.mu.Unlock()
	p.listOnce.Do(func() { close(p.listed) })
	p.changed()
	return nil
}

// Resync does nothing.
func (p *pods) Resync() error { return nil }

func (p *pods) put(obj any) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	name := pod.Namespace + "/" + pod.Name
	if p.only != "" {
		p.seen[name] = true
	}
	if probe, ok := probes.Of(pod); ok {
		p.probes[name] = probe
	} else {
		delete(p.probes, name)
	}
}

// wait returns once there was a list, or with the reason why there is none.
func (p *pods) wait(ctx context.Context) error {
	select {
	case <-p.listed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case err := <-p.failed:
		select {
		case <-p.listed: // that was a later one
			return nil
		default:
		}
		where := "in namespace " + p.where
		if p.where == metav1.NamespaceAll {
			where = "in all namespaces"
		}
		switch {
		case apierrors.IsForbidden(err) && p.where == metav1.NamespaceAll:
			return errors.New("you may not list pods in all namespaces: name one with -n")
		case apierrors.IsForbidden(err):
			return fmt.Errorf("you may not list pods %s: take another with -n, or ask for the right to list and watch pods", where)
		}
		return fmt.Errorf("listing pods %s: %s", where, session.Text(err.Error()))
	}
}
