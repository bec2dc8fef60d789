package debug

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

const (
	fieldManager = "kubectl-debugsidecar"
	// profileVar is which profile a debug container has, so that the same request
	// finds it again, whatever policies made of its security context.
	profileVar = "DEBUGSIDECAR_PROFILE"
	// maxTries is how often a pod may change between reading and writing it.
	maxTries = 10
)

// newName returns a name for a debug container that the pod does not have.
func newName(pod *corev1.Pod) string {
	for {
		name := session.NamePrefix + strings.ToLower(rand.Text()[:5])
		if containerOf(pod, name) == nil {
			return name
		}
	}
}

// request is what is asked for; a plan is made of it for each version of the pod.
type request struct {
	shape     shape.Options
	namespace shape.Namespace
	fresh     bool // --new: don't look for one that is there
}

func (r *request) plan(ctx context.Context, pod *corev1.Pod) (*shape.Plan, error) {
	p, err := shape.Of(ctx, pod, r.namespace, r.shape)
	if err != nil {
		return nil, err
	}
	for i := range p.Candidates {
		r.complete(&p.Candidates[i])
	}
	for i := range p.Refused {
		r.complete(&p.Refused[i].Candidate)
	}
	return p, nil
}

func (r *request) complete(c *shape.Candidate) {
	c.Container.Env = append(c.Container.Env, corev1.EnvVar{Name: profileVar, Value: string(c.Profile)})
	// What is piped in has an end, and the program is to see it. A terminal may come
	// back.
	c.Container.StdinOnce = c.Container.Stdin && !c.Container.TTY
}

// same finds the debug container that an earlier, same request added, if it lives.
func (r *request) same(pod *corev1.Pod, now time.Time) *session.Session {
	sessions := session.Of(pod, now)
	slices.Reverse(sessions) // the last one first
	for i := range sessions {
		s := &sessions[i]
		if s.IsCopy || s.State == session.Done || s.State == session.Terminating {
			continue
		}
		for j := range pod.Spec.EphemeralContainers {
			if c := &pod.Spec.EphemeralContainers[j]; c.Name == s.Container && r.matches(c) {
				return s
			}
		}
	}
	return nil
}

func (r *request) matches(c *corev1.EphemeralContainer) bool {
	command, args := shape.Command(r.shape.Foreign, r.shape.Command)
	profile := envOf(c.Env, profileVar)
	return c.TargetContainerName == r.shape.Target && sameImage(r.shape.Image, c.Image) &&
		c.Stdin == r.shape.Stdin && c.TTY == r.shape.TTY &&
		slices.Equal(c.Command, command) && slices.Equal(c.Args, args) &&
		profile != "" && (r.shape.Profile == "" || string(r.shape.Profile) == profile)
}

func envOf(env []corev1.EnvVar, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if env[i].Name == name {
			return env[i].Value
		}
	}
	return ""
}

// added is what became of a request.
type added struct {
	pod       *corev1.Pod
	candidate *shape.Candidate
	plan      *shape.Plan
	// lower are the profiles that were tried before and denied.
	lower []denial
	// before is the one that was there already; then there is no candidate.
	before *session.Session
}

// add adds a debug container to the pod, with the highest profile that is
// permitted; dryRun asks the API server without adding anything.
func (c *client) add(ctx context.Context, pod *corev1.Pod, r *request, dryRun bool) (*added, error) {
	for try := 0; ; try++ {
		if err := c.canBeAdded(pod, r.shape.Target); err != nil {
			return nil, err
		}
		if !r.fresh && !dryRun {
			if s := r.same(pod, time.Now()); s != nil {
				return &added{pod: pod, before: s}, nil
			}
		}
		a, err := c.addTo(ctx, pod, r, dryRun)
		if !apierrors.IsConflict(err) || try == maxTries {
			return a, err
		}
		if pod, err = c.again(ctx, pod); err != nil {
			return nil, err
		}
	}
}

// again reads a pod that changed meanwhile.
func (c *client) again(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	now, err := c.get(ctx, pod.Namespace, pod.Name)
	if err != nil {
		return nil, err
	}
	if now.UID != pod.UID {
		return nil, fmt.Errorf("pod %s was replaced by another of its name meanwhile", pod.Name)
	}
	return now, nil
}

func (c *client) addTo(ctx context.Context, pod *corev1.Pod, r *request, dryRun bool) (*added, error) {
	plan, err := r.plan(ctx, pod)
	if err != nil {
		return nil, err
	}
	var tried []denial
	try := func(candidate *shape.Candidate, dry bool, known []string) (*added, error) {
		c.warnings.take()
		answer, err := c.update(ctx, pod, candidate, dry)
		if err == nil {
			return &added{pod: answer, candidate: candidate, plan: plan, lower: tried}, nil
		}
		if !isDenied(err) {
			return nil, explain(err, pod)
		}
		lines := known
		if len(lines) == 0 {
			lines = denialLines(err)
		}
		tried = append(tried, denial{candidate.Profile, lines})
		return nil, nil
	}
	for i := range plan.Refused {
		// Of these it is known that they are refused, unless the cluster exempts
		// someone; a dry run knows that, and is asked only for what was named, or where
		// there is no other way.
		refused := &plan.Refused[i]
		lines := predicted(refused.Denials)
		if r.shape.Profile == "" && len(plan.Candidates) > 0 {
			tried = append(tried, denial{refused.Profile, lines})
			continue
		}
		a, err := try(&refused.Candidate, true, lines)
		if err != nil {
			return nil, err
		}
		if a != nil {
			if dryRun {
				return a, nil
			}
			if a, err = try(&refused.Candidate, false, nil); a != nil || err != nil {
				return a, err
			}
		}
	}
	for i := range plan.Candidates {
		a, err := try(&plan.Candidates[i], dryRun, nil)
		if a != nil || err != nil {
			return a, err
		}
	}
	d := &denied{pod: pod.Name, asked: r.shape.Profile, denials: tried}
	if r.shape.Profile != "" {
		if err := c.passing(ctx, pod, r, d); err != nil {
			return nil, err
		}
	}
	return nil, d
}

// passing finds the highest lower profile that would pass, by dry runs.
func (c *client) passing(ctx context.Context, pod *corev1.Pod, r *request, d *denied) error {
	lower := *r
	lower.shape.Profile = ""
	plan, err := lower.plan(ctx, pod)
	if err != nil {
		return err
	}
	below := slices.Index(shape.Profiles(), r.shape.Profile)
	for i := range plan.Candidates {
		candidate := &plan.Candidates[i]
		if slices.Index(shape.Profiles(), candidate.Profile) >= below {
			continue
		}
		_, err := c.update(ctx, pod, candidate, true)
		switch {
		case err == nil:
			d.passes, d.leavesOut = candidate.Profile, candidate.LeavesOut
			return nil
		case !isDenied(err):
			return explain(err, pod)
		}
	}
	return nil
}

func (c *client) update(ctx context.Context, pod *corev1.Pod, candidate *shape.Candidate, dry bool) (*corev1.Pod, error) {
	with := pod.DeepCopy()
	with.Spec.EphemeralContainers = append(with.Spec.EphemeralContainers, candidate.Container)
	o := metav1.UpdateOptions{FieldManager: fieldManager}
	if dry {
		o.DryRun = []string{metav1.DryRunAll}
	}
	return c.core.Pods(pod.Namespace).UpdateEphemeralContainers(ctx, pod.Name, with, o)
}

// explain makes an error of the API server one for people. A conflict stays one.
func explain(err error, pod *corev1.Pod) error {
	switch {
	case apierrors.IsConflict(err):
		return err
	case apierrors.IsNotFound(err):
		return fmt.Errorf("pod %s was deleted meanwhile", pod.Name)
	case lacksRight(err):
		return fmt.Errorf("you may not add debug containers to pods in namespace %s (update pods/ephemeralcontainers): %s", pod.Namespace, allowed)
	}
	return fmt.Errorf("adding a debug container to pod %s: %w", pod.Name, err)
}

// terminated says why a pod takes a copy.
type terminated struct{ text string }

func (t *terminated) Error() string {
	return t.text + "; a copy of it can be debugged: --allow-terminated"
}

// canBeAdded says why nothing can be added, before it is tried.
func (c *client) canBeAdded(pod *corev1.Pod, target string) error {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return &terminated{fmt.Sprintf("pod %s has ended (%s), and the API adds no container to such a one", pod.Name, podEnd(pod))}
	}
	if pod.DeletionTimestamp != nil {
		return fmt.Errorf("pod %s is being deleted", pod.Name)
	}
	if pod.Spec.NodeName == "" {
		return fmt.Errorf("pod %s is on no node yet: %s", pod.Name, unscheduled(pod))
	}
	status := statusOf(pod, target)
	switch {
	case status == nil || status.State.Running != nil:
		return nil
	case status.State.Terminated != nil:
		return &terminated{fmt.Sprintf("container %s of pod %s does not run: it ended with %d (%s)", target, pod.Name, status.State.Terminated.ExitCode, short(status.State.Terminated.Reason))}
	case status.State.Waiting != nil && status.State.Waiting.Reason == "CrashLoopBackOff":
		return &terminated{fmt.Sprintf("container %s of pod %s crashes again and again (%d restarts)", target, pod.Name, status.RestartCount)}
	case status.State.Waiting != nil:
		return fmt.Errorf("container %s of pod %s has not started: %s: %s; name another with -c", target, pod.Name, short(status.State.Waiting.Reason), short(status.State.Waiting.Message))
	}
	return nil
}
