// Package rollout keeps the state of a canary: one ConfigMap, which the leader
// writes and all replicas follow. The leader counts the pods that have the
// canary's sidecar and those that have the other, and rolls it back if it does
// worse (webhook/canary).
package rollout

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/canary"
)

// Phase is what becomes of a canary.
type Phase string

const (
	// Running canaries are given to new pods.
	Running Phase = "Running"
	// RolledBack ones are not, until their configuration changes.
	RolledBack Phase = "RolledBack"
)

// State is the ConfigMap's content. Without one, and for a canary of another ID,
// there is no canary: new pods get the sidecar that was there before.
type State struct {
	Canary string       `json:"canary"` // its ID
	Phase  Phase        `json:"phase"`
	Since  time.Time    `json:"since"` // of the phase
	Reason string       `json:"reason,omitempty"`
	Pods   canary.Count `json:"pods"`   // with the canary, when last written
	Others canary.Count `json:"others"` // with the sidecar that was there before
}

// key is the ConfigMap's.
const key = "state.json"

// read returns the state in a ConfigMap; the zero value if there is none yet.
func read(m *corev1.ConfigMap) (State, error) {
	text, ok := m.Data[key]
	if !ok {
		return State{}, nil
	}
	var s State
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return State{}, fmt.Errorf("the state in ConfigMap %s can't be read; empty its data to begin anew: %w", m.Name, err)
	}
	return s, nil
}

func (s State) write(m *corev1.ConfigMap) {
	text, _ := json.Marshal(s) // strings, numbers and a time can't fail
	if m.Data == nil {
		m.Data = map[string]string{}
	}
	m.Data[key] = string(text)
}

// next returns the state after a look at the pods, and whether it is another.
func (s State) next(id string, pods, others canary.Count, t canary.Thresholds, now time.Time) (State, bool) {
	if s.Canary != id {
		return State{Canary: id, Phase: Running, Since: now}, true
	}
	if s.Phase != Running {
		return s, false
	}
	if why := canary.Judge(pods, others, t); why != "" {
		return State{Canary: id, Phase: RolledBack, Since: now, Reason: why, Pods: pods, Others: others}, true
	}
	return s, false
}
