package debug

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/copy"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// debugCopy debugs a copy of a pod to which the API adds nothing any more.
func (o *options) debugCopy(ctx, starting context.Context, c *client, f *facts, r *request) error {
	if !r.fresh {
		d, err := c.sameCopy(starting, f.pod, r)
		if err != nil {
			return err
		}
		if d != nil {
			note(o.streams.ErrOut, "back in %s of pod %s, a copy; --new makes another", d.container, d.pod.Name)
			return o.enter(ctx, starting, c, d, "", nil)
		}
	}
	a, err := o.copy(starting, c, f, r, false)
	if err != nil {
		return err
	}
	d := o.told(c, r, a)
	d.isCopy = true
	return o.enter(ctx, starting, c, d, a.pod.ResourceVersion, c.watchEvents(starting, a.pod, ""))
}

// copy makes a copy, or as a dry run asks for it.
func (o *options) copy(ctx context.Context, c *client, f *facts, r *request, dryRun bool) (*added, error) {
	ladder, plan, err := o.copies(ctx, c, f, r)
	if err != nil {
		return nil, err
	}
	a, err := c.climb(ladder, r.shape.Profile != "", dryRun)
	if d, ok := errors.AsType[*denied](err); ok {
		d.what, d.asked = "no copy of pod "+f.pod.Name+" was made", r.shape.Profile
		if r.shape.Profile != "" {
			lower := *r
			lower.shape.Profile = ""
			if ladder, _, err = o.copies(ctx, c, f, &lower); err != nil {
				return nil, err
			}
			if err := d.passing(ladder); err != nil {
				return nil, explainCopy(err, f.pod)
			}
		}
		return nil, d
	}
	if err != nil {
		return nil, explainCopy(err, f.pod)
	}
	a.notes, a.pullNote = plan.Notes, plan.PullNote
	return a, nil
}

// copies are the copies of each profile, and how they are made.
func (o *options) copies(ctx context.Context, c *client, f *facts, r *request) ([]rung, *copy.Plan, error) {
	if f.neighbours == nil {
		n, notKnown := c.neighbours(ctx, f.pod.Namespace)
		f.neighbours = &n
		for _, line := range notKnown {
			note(o.streams.ErrOut, "%s", line)
		}
	}
	hold := f.settings.image
	if !r.shape.Foreign {
		hold = r.shape.Image
	}
	plan, err := copy.Of(ctx, f.pod, *f.neighbours, f.namespace, copy.Options{Options: r.shape, HoldImage: hold, RunInit: o.runInit})
	if err != nil {
		return nil, nil, err
	}
	var ladder []rung
	step := func(candidate *copy.Candidate, denials []shape.Denial) {
		debugger := containerOf(candidate.Pod, candidate.Container)
		complete(debugger, candidate.Profile)
		ladder = append(ladder, rung{
			profile: candidate.Profile, container: candidate.Container, image: debugger.Image,
			leavesOut: candidate.LeavesOut, known: predicted(denials), local: candidate.Pod,
			put: func(dry bool) (*corev1.Pod, error) {
				options := metav1.CreateOptions{FieldManager: fieldManager}
				if dry {
					options.DryRun = []string{metav1.DryRunAll}
				}
				return c.core.Pods(candidate.Pod.Namespace).Create(ctx, candidate.Pod, options)
			},
		})
	}
	for i := range plan.Refused {
		step(&plan.Refused[i].Candidate, plan.Refused[i].Denials)
	}
	for i := range plan.Candidates {
		step(&plan.Candidates[i], nil)
	}
	return ladder, plan, nil
}

// showCopy prints the copy that would be made.
func (o *options) showCopy(ctx context.Context, c *client, f *facts, r *request) error {
	if o.dryRun == "server" {
		a, err := o.copy(ctx, c, f, r, true)
		if err != nil {
			return err
		}
		o.told(c, r, a)
		a.pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		a.pod.ManagedFields = nil
		return o.print(a.pod)
	}
	ladder, plan, err := o.copies(ctx, c, f, r)
	if err != nil {
		return err
	}
	a, err := atHome(ladder, "no copy of pod "+f.pod.Name+" can be made", r.shape.Profile)
	if err != nil {
		return err
	}
	a.pod, a.notes = a.local, plan.Notes
	o.told(c, r, a)
	return o.print(a.pod)
}

// copiesOf lists the copies of a pod in which somebody may be, the newest first.
func (c *client) copiesOf(ctx context.Context, pod *corev1.Pod) ([]corev1.Pod, error) {
	list, err := c.core.Pods(pod.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: session.CopyOfLabel + "=" + string(pod.UID), Limit: maxPods,
	})
	if err != nil {
		return nil, fmt.Errorf("listing the copies of pod %s: %w", pod.Name, err)
	}
	copies := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return !slices.ContainsFunc(session.Of(&p, time.Now()), func(s session.Session) bool {
			return s.IsCopy && s.State != session.Done && s.State != session.Terminating
		})
	})
	slices.SortFunc(copies, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	return copies, nil
}

// sameCopy finds the copy that an earlier, same request made.
func (c *client) sameCopy(ctx context.Context, pod *corev1.Pod, r *request) (*debugger, error) {
	copies, err := c.copiesOf(ctx, pod)
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range copies {
		for j := range copies[i].Spec.Containers {
			d := &copies[i].Spec.Containers[j]
			if r.matches(d, envOf(d.Env, session.TargetContainerVar)) {
				return &debugger{pod: &copies[i], container: d.Name, isCopy: true, foreign: r.shape.Foreign}, nil
			}
		}
	}
	return nil, nil
}

func explainCopy(err error, pod *corev1.Pod) error {
	if lacksRight(err) {
		return fmt.Errorf("you may not make copies of pods in namespace %s (create pods): %s", pod.Namespace, allowed)
	}
	return fmt.Errorf("making a copy of pod %s: %w", pod.Name, err)
}
