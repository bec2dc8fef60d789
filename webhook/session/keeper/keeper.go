// Package keeper keeps what users see of debug sessions true: the condition
// debugsidecar.io/DebugActive of a pod, Events at the begin and the end of each
// session, and that copies of pods go when their time is up.
//
// It is level-triggered and remembers nothing that it needs: what is to be done
// follows from one look at a pod. Events come first and have names that follow from
// the session, so that a second one is none; the condition comes next, and a copy
// is deleted last. So whenever it is killed, the next look does what is missing.
package keeper

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// Keeper looks at pods with sessions, one at a time.
type Keeper struct {
	// API has no cache: of all pods the few with a session are read.
	API client.Client
	// MaxTTL is how long a copy may be there, whatever its record says; 0 is no
	// limit.
	MaxTTL func() time.Duration
	// Instance names this replica in Events.
	Instance string
	Now      func() time.Time
	Log      *slog.Logger

	mu    sync.Mutex
	known map[types.NamespacedName]*last // with live sessions
	told  map[string]time.Time           // names of Events that are there
}

// most is how many sessions of a pod are looked after, the newest. People don't
// come near it.
const most = 32

// Reconcile makes right what users see of one pod.
func (k *Keeper) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	var pod corev1.Pod
	switch err := k.API.Get(ctx, r.NamespacedName, &pod); {
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, k.gone(ctx, r.NamespacedName)
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading pod %s: %w", r, err)
	}
	if was := k.before(r.NamespacedName); was != nil && was.pod.UID != pod.UID {
		if err := k.gone(ctx, r.NamespacedName); err != nil {
			return reconcile.Result{}, err
		}
	}
	now := k.Now()
	sessions := session.Of(&pod, now)
	if len(sessions) > most {
		k.Log.Warn("a pod has more debug sessions than are looked after", "namespace", pod.Namespace, "pod", pod.Name, "sessions", len(sessions), "newest", most)
		sessions = slices.Clone(sessions[len(sessions)-most:])
	}
	k.remember(&pod, sessions)
	if len(sessions) == 0 && find(&pod) == nil {
		return reconcile.Result{}, nil
	}
	for i := range sessions {
		if err := k.tellOne(ctx, &pod, &sessions[i], now); err != nil {
			return reconcile.Result{}, err
		}
	}
	if err := k.setCondition(ctx, &pod, sessions, now); err != nil {
		return reconcile.Result{}, err
	}
	due := k.due(&pod, sessions)
	if !due.IsZero() && !now.Before(due) && pod.DeletionTimestamp == nil {
		return reconcile.Result{}, k.deleteCopy(ctx, &pod)
	}
	return reconcile.Result{RequeueAfter: k.next(sessions, due, now)}, nil
}

// next is how long it is until something changes by itself; 0 is never.
func (k *Keeper) next(sessions []session.Session, due, now time.Time) time.Duration {
	var next time.Time
	consider := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	consider(due)
	for i := range sessions {
		if sessions[i].State.Lives() {
			consider(sessions[i].Until)
		}
	}
	if next.IsZero() {
		return 0
	}
	return next.Sub(now)
}

// due is when a copy has to go: soon after its session is over, or else when its
// time is up. It is zero for what is no copy, or has no end.
func (k *Keeper) due(pod *corev1.Pod, sessions []session.Session) time.Time {
	var due, ended time.Time
	is, over := false, true
	for i := range sessions {
		s := &sessions[i]
		if !s.IsCopy {
			continue
		}
		is, over = true, over && s.State == session.Done
		if s.Ended.After(ended) {
			ended = s.Ended
		}
		if !s.Until.IsZero() && (due.IsZero() || s.Until.After(due)) {
			due = s.Until
		}
	}
	switch {
	case !is:
		return time.Time{}
	case over && ended.IsZero():
		return pod.CreationTimestamp.Time
	case over:
		return ended.Add(linger)
	}
	// The webhook keeps to the limit; a record that it has not seen may not.
	if longest := k.MaxTTL(); longest > 0 {
		if last := pod.CreationTimestamp.Add(longest + skew); due.IsZero() || due.After(last) {
			due = last
		}
	}
	return due
}

const (
	// linger is how long a copy stays after its session, so that who was in it can
	// read how it ended, and its log.
	linger = 30 * time.Second
	// skew is how far the webhook's clock may be ahead of the API server's before a
	// copy goes earlier than its record says.
	skew = time.Minute
)

func (k *Keeper) deleteCopy(ctx context.Context, pod *corev1.Pod) error {
	// Of the very pod that was looked at, and not if it has changed since.
	err := k.API.Delete(ctx, pod, client.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting copy %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	k.Log.Info("deleted the copy of a pod: its debug session is over", "namespace", pod.Namespace, "pod", pod.Name)
	return nil
}

// gone tells the end of sessions that lived when the pod was there last.
func (k *Keeper) gone(ctx context.Context, name types.NamespacedName) error {
	was := k.before(name)
	if was == nil {
		return nil
	}
	now := k.Now()
	for i := range was.sessions {
		s := was.sessions[i]
		if s.State.Lives() {
			s.State, s.Why, s.Ended = session.Done, "the pod is gone", now
		}
		if err := k.tellOne(ctx, was.pod, &s, now); err != nil {
			return err
		}
	}
	k.forget(name)
	return nil
}

// last is what is needed of a pod with live sessions when it is gone.
type last struct {
	pod      *corev1.Pod // its identity alone
	sessions []session.Session
}

func (k *Keeper) before(name types.NamespacedName) *last {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[name]
}

func (k *Keeper) remember(pod *corev1.Pod, sessions []session.Session) {
	lives := slices.ContainsFunc(sessions, func(s session.Session) bool { return s.State.Lives() })
	if !lives {
		k.forget(client.ObjectKeyFromObject(pod))
		return
	}
	l := &last{pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID}}, sessions: sessions}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		l.pod.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[types.NamespacedName]*last{}
	}
	k.known[client.ObjectKeyFromObject(pod)] = l
}

func (k *Keeper) forget(name types.NamespacedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, name)
}

// names returns the pods with live sessions.
func (k *Keeper) names() []types.NamespacedName {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(k.known))
}
