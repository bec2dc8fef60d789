package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

const (
	// worthTelling is how old a begin or an end may be to be told still. API servers
	// keep Events for an hour, so that one that was told longer ago may be gone, and
	// would be told again after a restart.
	worthTelling = 50 * time.Minute
	// maxNote is what the API allows.
	maxNote = 1024
)

// tellOne makes the Events that there have to be of a session: at its begin and
// its end, on the pod and on its controller.
func (k *Keeper) tellOne(ctx context.Context, pod *corev1.Pod, s *session.Session, now time.Time) error {
	if began := firstOf(s.Since, s.Started); began.IsZero() && s.State.Lives() || isNew(began, now) {
		if err := k.both(ctx, pod, s, "DebugSessionBegan", sentence(s), now); err != nil {
			return err
		}
	}
	if s.State != session.Done || !k.isNewEnd(pod, s, now) {
		return nil
	}
	note := "the debug session has ended: " + sentence(s)
	if s.Why != "" {
		note += "; " + s.Why
	}
	return k.both(ctx, pod, s, "DebugSessionEnded", note, now)
}

// isNewEnd says whether the end of a session is to be told. Where nobody knows
// when that was, the condition says whether it was told: it is written later.
func (k *Keeper) isNewEnd(pod *corev1.Pod, s *session.Session, now time.Time) bool {
	if !s.Ended.IsZero() {
		return isNew(s.Ended, now)
	}
	c := find(pod)
	return c == nil || c.Status == corev1.ConditionTrue || isNew(c.LastTransitionTime.Time, now)
}

func isNew(t, now time.Time) bool { return !t.IsZero() && now.Sub(t) < worthTelling }

func firstOf(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// both makes an Event on the pod and one on what controls it.
func (k *Keeper) both(ctx context.Context, pod *corev1.Pod, s *session.Session, reason, note string, now time.Time) error {
	self := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
	if err := k.event(ctx, self, nil, pod.UID, s, reason, note, now); err != nil {
		return err
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return nil
	}
	about := corev1.ObjectReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: pod.Namespace, Name: owner.Name, UID: owner.UID}
	if owner.Kind == "Node" {
		return nil // Events on nodes lie in another namespace; the kubelet's own pods have them
	}
	return k.event(ctx, about, &self, pod.UID, s, reason, "pod "+pod.Name+": "+note, now)
}

// event makes one Event, unless it is there.
func (k *Keeper) event(ctx context.Context, about corev1.ObjectReference, related *corev1.ObjectReference, pod types.UID, s *session.Session, reason, note string, now time.Time) error {
	sum := sha256.Sum256([]byte(string(pod) + "/" + s.Container + "/" + reason + "/" + string(about.UID)))
	name := "debug-session." + hex.EncodeToString(sum[:12])
	if k.isTold(name, now) {
		return nil
	}
	e := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: about.Namespace, Name: name},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: "debugsidecar.io/sessions",
		ReportingInstance:   k.Instance,
		Action:              "Debug",
		Reason:              reason,
		Regarding:           about,
		Related:             related,
		Note:                cut(note, maxNote),
		Type:                corev1.EventTypeNormal,
	}
	switch err := k.API.Create(ctx, e); {
	case err == nil, apierrors.IsAlreadyExists(err):
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), apierrors.IsNotFound(err):
		// Nobody will look for it there any more.
	default:
		return fmt.Errorf("making an Event %s in namespace %s: %w", reason, about.Namespace, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.told == nil {
		k.told = map[string]time.Time{}
	}
	k.told[name] = now
	return nil
}

// isTold says whether an Event is there, as far as is remembered: that saves a
// request at each look. What is too old to be told is forgotten.
func (k *Keeper) isTold(name string, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.told) > maxTold {
		for name, at := range k.told {
			if now.Sub(at) > worthTelling {
				delete(k.told, name)
			}
		}
		if len(k.told) > maxTold {
			clear(k.told) // they are asked for again, which is only slower
		}
	}
	_, ok := k.told[name]
	return ok
}

const maxTold = 4096

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len("…")], "") + "…"
}
