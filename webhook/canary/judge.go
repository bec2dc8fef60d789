package canary

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Count is what was seen of the pods with one of the two sidecars.
type Count struct{ Pods, Failed int }

// Judge says why the canary has to be rolled back; empty if it may go on.
func Judge(canary, stable Count, t Thresholds) string {
	if canary.Pods == 0 || canary.Failed < t.FailedPods || canary.Failed == 0 {
		return ""
	}
	// Where there is no stable pod, none of them fails.
	others := max(stable.Pods, 1)
	if 100*canary.Failed*others <= 100*stable.Failed*canary.Pods+t.MarginPercent*canary.Pods*others {
		return ""
	}
	return fmt.Sprintf("the sidecar fails in %d of %d canary pods, and in %d of %d others", canary.Failed, canary.Pods, stable.Failed, stable.Pods)
}

// waitingFailed are the kubelet's reasons why a container that waits will not
// start by itself soon.
var waitingFailed = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}

// unready is how long a container may run before it has to be ready.
const unready = time.Minute

// Failed says why a sidecar's container counts as failed; empty if it does not.
// The app's own containers are none of its business.
func Failed(s *corev1.ContainerStatus, t Thresholds, now time.Time) string {
	if w := s.State.Waiting; w != nil && slices.Contains(waitingFailed, w.Reason) {
		return w.Reason
	}
	for _, state := range [...]corev1.ContainerState{s.State, s.LastTerminationState} {
		if state.Terminated != nil && state.Terminated.Reason == "OOMKilled" {
			return "OOMKilled"
		}
	}
	if r := s.State.Running; r != nil && !s.Ready && now.Sub(r.StartedAt.Time) > unready {
		return "not ready"
	}
	if s.RestartCount >= t.Restarts && t.Restarts > 0 {
		return fmt.Sprintf("%d restarts", s.RestartCount)
	}
	return ""
}
