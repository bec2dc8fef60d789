// Package copy makes a copy of a pod that can't be debugged itself: one that has
// ended, or whose container crashes again and again. In the copy the target has
// its image, environment, volumes and privileges, but its program does not run;
// beside it is a debug container. Nothing sends the copy traffic, adopts it or
// counts it. It is pure: it asks no cluster and no clock.
package copy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// Options are what the user asked for.
type Options struct {
	shape.Options
	// HoldImage is our debug image. A program of it keeps the target alive, whatever
	// the target's image has. If it is empty, that image's own sleep does.
	HoldImage string
	// RunInit says that the pod's init containers run, those before the target.
	RunInit bool
}

// Neighbours are what in the pod's namespace may take a copy for the pod.
type Neighbours struct {
	Services        []corev1.Service
	NetworkPolicies []networkingv1.NetworkPolicy
	Controllers     []Controller
	Claims          []corev1.PersistentVolumeClaim
	// Unknown is what could not be read.
	Unknown Unknown
}

// Unknown is what of a pod's neighbours could not be read.
type Unknown struct{ Services, NetworkPolicies, Controllers, Claims bool }

// Controller is what selects pods by labels: a ReplicaSet, StatefulSet, DaemonSet,
// Job, ReplicationController or PodDisruptionBudget.
type Controller struct {
	Kind, Name string
	Selector   *metav1.LabelSelector
}

// Plan is which copies can be made of a pod.
type Plan struct {
	Target shape.Target
	// Candidates are, as far as is known, permitted, the highest profile first.
	Candidates []Candidate
	// Refused are those that the namespace does not permit.
	Refused []Refused
	// Notes hold for all of them, in people's words.
	Notes    []string
	PullNote string
}

// Candidate is a copy with a debug container of a profile.
type Candidate struct {
	Profile shape.Profile
	Pod     *corev1.Pod
	// Container is the debug container's name.
	Container string
	// LeavesOut is what can't be done in it, in people's words, the gravest first.
	LeavesOut []string
}

// Refused is a copy that the namespace does not permit.
type Refused struct {
	Candidate
	Denials []shape.Denial
}

// Of makes the plan for a pod. An error says why there can be none, and the way
// out.
func Of(ctx context.Context, pod *corev1.Pod, n Neighbours, ns shape.Namespace, o Options) (*Plan, error) {
	if err := supported(pod, &o); err != nil {
		return nil, err
	}
	m := &maker{original: pod, neighbours: &n, options: &o}
	if err := m.make(); err != nil {
		return nil, err
	}
	beside, err := shape.Beside(ctx, pod, m.pod, ns, o.Options)
	if err != nil {
		return nil, err
	}
	p := &Plan{Target: beside.Target, Notes: append(m.notes, beside.Notes...), PullNote: beside.PullNote}
	for _, c := range beside.Candidates {
		p.Candidates = append(p.Candidates, m.candidate(&c))
	}
	for _, r := range beside.Refused {
		p.Refused = append(p.Refused, Refused{m.candidate(&r.Candidate), r.Denials})
	}
	return p, nil
}

// supported says why there can be no copy of a pod.
func supported(pod *corev1.Pod, o *Options) error {
	windows := pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows ||
		pod.Spec.NodeSelector[corev1.LabelOSStable] == string(corev1.Windows)
	_, isCopy := pod.Labels[session.CopyOfLabel]
	isCopy = isCopy || slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == holdName }) ||
		slices.ContainsFunc(slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers), func(c corev1.Container) bool { return c.Name == holdName })
	switch {
	case isCopy:
		return fmt.Errorf("pod %s is a copy itself; debug the pod that it is a copy of", pod.Name)
	case windows:
		return fmt.Errorf("pod %s is for Windows, whose containers can't share their processes, so a copy shows nothing; start its image in a pod of its own", pod.Name)
	case pod.UID == "" || pod.Namespace == "":
		return fmt.Errorf("pod %s is not one that the API server knows", pod.Name)
	case !slices.ContainsFunc(slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers), func(c corev1.Container) bool { return c.Name == o.Target }):
		return fmt.Errorf("pod %s has no container %q", pod.Name, o.Target)
	}
	return nil
}

// Name is the name of a copy: the original's, as far as there is room, and the
// debug container's.
func Name(original, container string) string {
	const most = 63 // a hostname's
	if room := most - len(container) - 1; len(original) > room {
		original = strings.TrimRight(original[:max(0, room)], "-.")
	}
	return original + "-" + container
}

// maker makes a copy.
type maker struct {
	original   *corev1.Pod
	neighbours *Neighbours
	options    *Options

	pod       *corev1.Pod // the copy, without the debug container
	notes     []string
	leavesOut []string
	unmounted map[string]bool // volumes of the original that the copy has not
	pinned    bool            // to the original's node
}

func (m *maker) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}
func (m *maker) without(format string, args ...any) {
	m.leavesOut = append(m.leavesOut, fmt.Sprintf(format, args...))
}

// ended says whether the original has let go of what it had.
func (m *maker) ended() bool {
	p := m.original.Status.Phase
	return p == corev1.PodSucceeded || p == corev1.PodFailed
}

func (m *maker) make() error {
	m.pod = &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: Name(m.original.Name, m.options.Name), Namespace: m.original.Namespace,
			OwnerReferences: m.owners(),
		},
	}
	if err := m.labels(); err != nil {
		return err
	}
	m.containers()
	m.volumes()
	m.spec()
	m.annotations()
	return nil
}

// candidate adds a debug container.
func (m *maker) candidate(c *shape.Candidate) Candidate {
	pod := m.pod.DeepCopy()
	debugger := corev1.Container(c.Container.DeepCopy().EphemeralContainerCommon)
	// That program is the target's alone: the debug container has its own.
	debugger.VolumeMounts = slices.DeleteFunc(debugger.VolumeMounts, func(v corev1.VolumeMount) bool { return v.Name == holdName })
	if pod.Spec.Resources == nil {
		debugger.Resources = resources()
	}
	debugger.Env = append(debugger.Env, corev1.EnvVar{Name: session.TargetCommandVar, Value: m.held()})
	pod.Spec.Containers = []corev1.Container{debugger}
	return Candidate{
		Profile: c.Profile, Pod: pod, Container: debugger.Name,
		LeavesOut: slices.Concat(m.leavesOut, c.LeavesOut),
	}
}
