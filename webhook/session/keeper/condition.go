package keeper

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// FieldManager is who writes the condition, in the pod's managed fields.
const FieldManager = "debugsidecar-sessions"

// named is how many sessions a condition names.
const named = 5

// setCondition writes the pod's condition if it is not right.
func (k *Keeper) setCondition(ctx context.Context, pod *corev1.Pod, sessions []session.Session, now time.Time) error {
	want := condition(sessions)
	is := find(pod)
	if is != nil && is.Status == want.Status && is.Reason == want.Reason && is.Message == want.Message {
		return nil
	}
	want.LastTransitionTime = metav1.NewTime(now)
	if is != nil && is.Status == want.Status {
		want.LastTransitionTime = is.LastTransitionTime
	}
	// Conditions are merged by their type: only ours is written, and only in the
	// very pod that was looked at.
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   map[string]any{"conditions": []corev1.PodCondition{want}},
	})
	if err != nil {
		return err
	}
	err = k.API.Status().Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, patch), client.FieldOwner(FieldManager))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing condition %s of pod %s/%s: %w", session.DebugActive, pod.Namespace, pod.Name, err)
	}
	return nil
}

func find(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == session.DebugActive {
			return c
		}
	}
	return nil
}

// condition says whether sessions live, and whose. What containers wait for is not
// in it: a kubelet changes its words every few seconds.
func condition(sessions []session.Session) corev1.PodCondition {
	c := corev1.PodCondition{Type: session.DebugActive, Status: corev1.ConditionFalse, Reason: string(session.Done), Message: "no debug session"}
	var says []string
	count := 0
	for i := range sessions {
		s := &sessions[i]
		if !s.State.Lives() {
			continue
		}
		count++
		if c.Status = corev1.ConditionTrue; weight(s.State) > weight(session.State(c.Reason)) {
			c.Reason = string(s.State)
		}
		if len(says) < named {
			says = append(says, sentence(s)+": "+string(s.State))
		}
	}
	if count > named {
		says = append(says, fmt.Sprintf("and %d more", count-named))
	}
	if count > 0 {
		c.Message = strings.Join(says, "; ")
	}
	return c
}

// weight orders states by what is more to be known, if a pod has several sessions.
func weight(s session.State) int {
	switch s {
	case session.Running:
		return 4
	case session.Terminating:
		return 3
	case session.Failed:
		return 2
	case session.Pending:
		return 1
	}
	return 0
}

// sentence says who debugs what, and for how long.
func sentence(s *session.Session) string {
	who := s.User
	if !s.Recorded() {
		who = "somebody (not recorded)"
	}
	out := who + " debugs"
	if s.Target != "" {
		out += " container " + s.Target
	}
	out += " with container " + s.Container
	if !s.Until.IsZero() {
		out += " until " + s.Until.UTC().Format(time.RFC3339)
	}
	if s.Reason != "" {
		out += fmt.Sprintf(", reason %q", s.Reason)
	}
	if s.Ticket != "" {
		out += fmt.Sprintf(", ticket %q", s.Ticket)
	}
	return out
}
