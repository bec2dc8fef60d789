// Package shape makes the debug container for a pod: from the pod, what is known
// of its namespace, and what the user asked for, an ephemeral container for each
// debug profile, from the one that sees most to the one that takes least, and in
// words what each of them can't do. It is pure: it asks no cluster and no clock.
package shape

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Profile names how much a debug container may do.
type Profile string

// The profiles, from the one that takes least.
const (
	// Restricted passes Pod Security's level of that name.
	Restricted Profile = "restricted"
	// Baseline passes Pod Security's level of that name: it may be root, as its
	// target is, with the target's capabilities.
	Baseline Profile = "baseline"
	// General is root with what it takes to see, trace and signal all processes of
	// its target.
	General Profile = "general"
	// NetAdmin is General, and may change the pod's network and read its packets.
	NetAdmin Profile = "netadmin"
	// SysAdmin is privileged: it has the node.
	SysAdmin Profile = "sysadmin"
)

// Profiles are all of them, from the one that takes least.
func Profiles() []Profile { return []Profile{Restricted, Baseline, General, NetAdmin, SysAdmin} }

// Automatic are the profiles that are tried if none is named, highest first. What
// changes a network or has the node is never anyone's by accident.
func Automatic() []Profile { return []Profile{General, Baseline, Restricted} }

// Options are what the user asked for.
type Options struct {
	// Name is the debug container's. It begins with session.NamePrefix.
	Name string
	// Target is the container that is debugged, by its name.
	Target string
	Image  string
	// Foreign says that the image isn't ours: its entrypoint is not `sidecar`.
	Foreign    bool
	PullPolicy corev1.PullPolicy
	// Command runs instead of a shell (our image) or of the image's own.
	Command []string
	// Profile is automatic if empty: then it is Highest at most, one of Automatic, or
	// any of them if that is empty, too.
	Profile        Profile
	Highest        Profile
	Reason, Ticket string
	TTL            time.Duration // 0: no end
	Stdin, TTY     bool
}

// Namespace is what is known of the pod's namespace.
type Namespace struct {
	// Known is false if its labels could not be read. The API server then decides.
	Known               bool
	Labels, Annotations map[string]string
}

// Plan is what can be added to a pod.
type Plan struct {
	Target Target
	// Candidates are, as far as is known, permitted, the highest first. There may
	// be none.
	Candidates []Candidate
	// Refused are those that the namespace does not permit, the highest first. A
	// cluster may exempt users or runtime classes, which only it knows.
	Refused []Refused
	// Notes hold for all candidates, in people's words.
	Notes []string
	// PullNote says what an image that can't be pulled may lack.
	PullNote string
}

// Candidate is a debug container.
type Candidate struct {
	Profile   Profile
	Container corev1.EphemeralContainer
	// LeavesOut is what can't be done from it, in people's words, the gravest first.
	LeavesOut []string
}

// Refused is a candidate that the namespace does not permit.
type Refused struct {
	Candidate
	Denials []Denial
}

// Denial is a rule that forbids a debug container.
type Denial struct {
	// Policy is whose rule it is: "Pod Security restricted" or
	// "policy.debugsidecar.io/enforce restricted".
	Policy string
	// Rule and Message say which, and what it found.
	Rule, Message string
	// Fix is the smallest change that passes.
	Fix string
}

// Of makes the plan for a pod. An error says why there can be none, and the way
// out.
func Of(ctx context.Context, pod *corev1.Pod, ns Namespace, o Options) (*Plan, error) {
	if err := o.check(pod); err != nil {
		return nil, err
	}
	t, err := targetOf(pod, o.Target)
	if err != nil {
		return nil, err
	}
	if err := supported(t, &o); err != nil {
		return nil, err
	}
	return t.plan(ctx, ns, &o)
}

// Beside makes the plan for a debug container beside its target in a pod that is
// still to be created, a copy of original.
func Beside(ctx context.Context, original, made *corev1.Pod, ns Namespace, o Options) (*Plan, error) {
	if err := o.check(made); err != nil {
		return nil, err
	}
	t, err := targetOf(original, o.Target)
	if err != nil {
		return nil, err
	}
	t.pod, t.isNew = made, true
	if t.container, _ = find(made, o.Target); t.container == nil {
		return nil, fmt.Errorf("the copy of pod %s has no container %q", original.Name, o.Target)
	}
	t.ID, t.Running = "", true
	return t.plan(ctx, ns, &o)
}

func (t *target) plan(ctx context.Context, ns Namespace, o *Options) (*Plan, error) {
	p := &Plan{Target: t.Target, Notes: notes(t, o), PullNote: pullNote(t.pod, o)}
	judge, err := newJudge(ctx, t, ns)
	if err != nil {
		return nil, err
	}
	note, err := judge.ofThePod()
	if err != nil {
		return nil, err
	}
	if note != "" {
		p.Notes = append(p.Notes, note)
	}
	for _, c := range candidates(t, o) {
		denials, err := judge.denials(ctx, &c.Container)
		switch {
		case err != nil:
			return nil, err
		case len(denials) > 0:
			p.Refused = append(p.Refused, Refused{c, denials})
		default:
			p.Candidates = append(p.Candidates, c)
		}
	}
	return p, nil
}

// candidates are the containers for the profiles that the user named, or that are
// tried.
func candidates(t *target, o *Options) []Candidate {
	profiles := Automatic()
	if i := slices.Index(profiles, o.Highest); i > 0 {
		profiles = profiles[i:]
	}
	if o.Profile != "" {
		profiles = []Profile{o.Profile}
	}
	var out []Candidate
	for _, p := range profiles {
		if t.windows && p != Restricted && p != Baseline {
			continue
		}
		c := candidate(t, o, p)
		if last := len(out) - 1; last >= 0 && equality.Semantic.DeepEqual(out[last].Container, c.Container) {
			out = out[:last] // the lower profile does as much
		}
		out = append(out, c)
	}
	return out
}

func candidate(t *target, o *Options, p Profile) Candidate {
	c := Candidate{Profile: p, Container: container(t, o)}
	c.Container.SecurityContext = securityContext(t, p)
	c.LeavesOut = leavesOut(t, p, c.Container.SecurityContext)
	mounts, left := volumeMounts(t, p)
	c.Container.VolumeMounts = mounts
	c.LeavesOut = append(c.LeavesOut, left...)
	return c
}
