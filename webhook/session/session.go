// Package session is the record of debug sessions. A session is a debug
// container: an ephemeral container, or the debug container in a copy of a pod.
// Its record is in that container's environment, which nobody can change once
// the container is there; so the pod alone says who debugs it, and nothing that
// is kept elsewhere can contradict it.
package session

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What whoever asks for the session writes into the container's environment.
const (
	// TTLVar is how long the session may last, as a Go duration; 0s is for ever.
	TTLVar = "DEBUGSIDECAR_SESSION_TTL"
	// ReasonVar and TicketVar are text for people.
	ReasonVar = "DEBUGSIDECAR_SESSION_REASON"
	TicketVar = "DEBUGSIDECAR_SESSION_TICKET"
	// TargetContainerVar names the container that is debugged, TargetIDVar is its
	// ID as in the pod's status. A copy's container has none yet when the copy is
	// written: there TargetCommandVar is the command that keeps it alive.
	TargetContainerVar = "DEBUGSIDECAR_TARGET_CONTAINER"
	TargetIDVar        = "DEBUGSIDECAR_TARGET_ID"
	TargetCommandVar   = "DEBUGSIDECAR_TARGET_COMMAND"
	// PodVar is the pod, as namespace/name.
	PodVar = "DEBUGSIDECAR_POD"
)

// What the webhook alone writes, at admission: who asked, and the time.
const (
	UserVar = "DEBUGSIDECAR_SESSION_USER"
	// GroupsVar has at most MaxGroups, with commas between them.
	GroupsVar = "DEBUGSIDECAR_SESSION_GROUPS"
	// RequestVar is the UID of the admission request, as in the audit log's
	// annotations.
	RequestVar = "DEBUGSIDECAR_SESSION_REQUEST"
	// SinceVar and UntilVar are times as of RFC 3339, in UTC. There is no UntilVar
	// without a TTL.
	SinceVar = "DEBUGSIDECAR_SESSION_SINCE"
	UntilVar = "DEBUGSIDECAR_SESSION_UNTIL"
)

const (
	// CopyOfLabel marks a copy of a pod; its value is the original's UID.
	CopyOfLabel = "debugsidecar.io/copy-of"
	// CopiedFromAnnotation is the original's name.
	CopiedFromAnnotation = "debugsidecar.io/copied-from"
	// NamePrefix is what debug containers' names begin with.
	NamePrefix = "debugger-"
	// DebugActive is the condition of a pod in which a session lives.
	DebugActive corev1.PodConditionType = "debugsidecar.io/DebugActive"
)

const (
	// DefaultTTL is a session's, unless someone says otherwise.
	DefaultTTL = time.Hour
	// MaxText is how many bytes of a text are kept, MaxGroups how many groups.
	MaxText   = 256
	MaxGroups = 16
)

// State is where a session is in its life.
type State string

// The states. A session that is not Terminating or Done may go from each to each
// other: kubelets try again. There is no way out of Terminating but Done, and
// none out of Done.
const (
	// Pending: the container has not started yet.
	Pending State = "Pending"
	// Running: the container runs.
	Running State = "Running"
	// Failed: the container can't start, so far: its image can't be pulled, say.
	Failed State = "Failed"
	// Terminating: the pod is being deleted or has ended, or the session's time is
	// up; its container has not ended yet.
	Terminating State = "Terminating"
	// Done: the container has ended, or will never start.
	Done State = "Done"
)

// Lives says whether there is something, or will be, that somebody is in.
func (s State) Lives() bool { return s != Done }

// Session is what a pod says of one debug container.
type Session struct {
	Container string
	// IsCopy says whether the pod is a copy, and this is the container for which it
	// was made.
	IsCopy bool
	State  State
	// Why says more of the state: what the container waits for, how it ended.
	Why string

	// User, Groups, Request and Since are empty if the webhook did not see the
	// request: who asked is not recorded.
	User    string
	Groups  []string
	Request string
	Since   time.Time
	// Until is when the session's time is up, zero if that is not known or never.
	Until time.Time
	// TTL is how long it may last, zero if nothing is said or it is for ever.
	TTL time.Duration

	Reason, Ticket string
	Image          string
	// Target is the container that is debugged, TargetID its ID.
	Target, TargetID string
	// Started and Ended are the container's times, zero if not known.
	Started, Ended time.Time
}

// Recorded says whether the webhook saw who asked.
func (s Session) Recorded() bool { return s.User != "" }
