package session

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// maxEnv is how many variables of a container are looked at, from the last one.
// A pod has 1.5 MiB, and its owner may fill it with these.
const maxEnv = 4096

// Of returns the sessions of a pod, in the order of its containers.
func Of(pod *corev1.Pod, now time.Time) []Session {
	var out []Session
	for i := range pod.Spec.EphemeralContainers {
		c := (*corev1.Container)(&pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		if r := read(c.Env); r.isSession() {
			s := r.session(pod, c, now)
			if s.Target == "" {
				s.Target = Text(pod.Spec.EphemeralContainers[i].TargetContainerName)
			}
			s.State, s.Why = state(pod, s.Until, statusOf(pod.Status.EphemeralContainerStatuses, c.Name), false, now)
			s.setTimes(statusOf(pod.Status.EphemeralContainerStatuses, c.Name))
			out = append(out, s)
		}
	}
	if _, isCopy := pod.Labels[CopyOfLabel]; !isCopy {
		return out
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if r := read(c.Env); r.isSession() {
			s := r.session(pod, c, now)
			s.IsCopy = true
			if s.Until.IsZero() && s.TTL > 0 {
				// The webhook was away; the API server's time is as good.
				s.Until = pod.CreationTimestamp.Add(s.TTL)
			}
			status := statusOf(pod.Status.ContainerStatuses, c.Name)
			s.State, s.Why = state(pod, s.Until, status, restarts(pod, c, status), now)
			s.setTimes(status)
			out = append(out, s)
		}
	}
	return out
}

// record is the variables of a container that are a session's.
type record map[string]string

// read takes the last value of a name, as a container runtime does. A value that
// comes from elsewhere is none.
func read(env []corev1.EnvVar) record {
	var r record
	for i := len(env) - 1; i >= max(0, len(env)-maxEnv); i-- {
		name := env[i].Name
		if !strings.HasPrefix(name, "DEBUGSIDECAR_") {
			continue
		}
		if _, seen := r[name]; seen {
			continue
		}
		if r == nil {
			r = record{}
		}
		r[name] = env[i].Value
	}
	return r
}

func (r record) isSession() bool {
	_, ttl := r[TTLVar]
	return ttl || r[UserVar] != ""
}

func (r record) session(pod *corev1.Pod, c *corev1.Container, now time.Time) Session {
	s := Session{
		Container: c.Name,
		User:      Text(r[UserVar]),
		Request:   Text(r[RequestVar]),
		Since:     parseTime(r[SinceVar]),
		Until:     parseTime(r[UntilVar]),
		Reason:    Text(r[ReasonVar]),
		Ticket:    Text(r[TicketVar]),
		Image:     Text(c.Image),
		Target:    Text(r[TargetContainerVar]),
		TargetID:  Text(r[TargetIDVar]),
	}
	if ttl, err := time.ParseDuration(r[TTLVar]); err == nil && ttl > 0 {
		s.TTL = ttl
	}
	for group := range strings.SplitSeq(r[GroupsVar], ",") {
		if group != "" && len(s.Groups) < MaxGroups {
			s.Groups = append(s.Groups, Text(group))
		}
	}
	return s
}

func (s *Session) setTimes(status *corev1.ContainerStatus) {
	if status == nil {
		return
	}
	switch {
	case status.State.Running != nil:
		s.Started = status.State.Running.StartedAt.Time
	case status.State.Terminated != nil:
		s.Started, s.Ended = status.State.Terminated.StartedAt.Time, status.State.Terminated.FinishedAt.Time
	}
}

// state tells the state of a container from one look at its pod. It looks at what
// can't be taken back first: that the container has ended for good, that the pod
// is being deleted, that it has ended, that the time is up.
func state(pod *corev1.Pod, until time.Time, status *corev1.ContainerStatus, restarts bool, now time.Time) (s State, why string) {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	var is corev1.ContainerState
	if status != nil {
		is = status.State
	}
	switch {
	case is.Terminated != nil && (ended || !restarts):
		return Done, howEnded(is.Terminated)
	case ended && is.Running == nil:
		return Done, "the pod has ended"
	case pod.DeletionTimestamp != nil:
		return Terminating, "the pod is being deleted"
	case ended:
		return Terminating, "the pod has ended"
	case !until.IsZero() && !now.Before(until):
		return Terminating, "its time is up"
	case is.Running != nil:
		return Running, ""
	case is.Terminated != nil:
		return Pending, "starts again: " + howEnded(is.Terminated)
	case is.Waiting != nil && !isOnTheWay(is.Waiting.Reason):
		return Failed, reasonAndMessage(is.Waiting.Reason, is.Waiting.Message)
	case is.Waiting != nil:
		return Pending, reasonAndMessage(is.Waiting.Reason, is.Waiting.Message)
	}
	return Pending, ""
}

// isOnTheWay says whether a container that waits for this has no problem. Kubelets
// have many words for problems and may get more; for the way there these three.
func isOnTheWay(reason string) bool {
	switch reason {
	case "", "ContainerCreating", "PodInitializing":
		return true
	}
	return false
}

func howEnded(t *corev1.ContainerStateTerminated) string {
	if t.Reason == "Completed" {
		return ""
	}
	return reasonAndMessage(fmt.Sprintf("%s, exit code %d", t.Reason, t.ExitCode), t.Message)
}

func reasonAndMessage(reason, message string) string {
	// A kubelet's message has lines, at most 4 KiB of them.
	if message = strings.Join(strings.Fields(message), " "); message == "" {
		return Text(reason)
	}
	return Text(reason + ": " + message)
}

// restarts says whether a container that ended may be started again.
func restarts(pod *corev1.Pod, c *corev1.Container, status *corev1.ContainerStatus) bool {
	if len(c.RestartPolicyRules) > 0 {
		return true
	}
	policy := pod.Spec.RestartPolicy
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return status == nil || status.State.Terminated == nil || status.State.Terminated.ExitCode != 0
	}
	return true
}

func statusOf(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range statuses {
		if statuses[i].Name == name {
			return &statuses[i]
		}
	}
	return nil
}

func parseTime(s string) time.Time {
	if len(s) > len("2006-01-02T15:04:05.999999999Z07:00") {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
