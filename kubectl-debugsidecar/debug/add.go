package debug

import (
	"context"
	"crypto/rand"
	"errors"
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
		complete((*corev1.Container)(&p.Candidates[i].Container.EphemeralContainerCommon), p.Candidates[i].Profile)
	}
	for i := range p.Refused {
		complete((*corev1.Container)(&p.Refused[i].Container.EphemeralContainerCommon), p.Refused[i].Profile)
	}
	return p, nil
}

// complete adds what this command needs to a debug container.
func complete(c *corev1.Container, profile shape.Profile) {
	c.Env = append(c.Env, corev1.EnvVar{Name: profileVar, Value: string(profile)})
	// What is piped in has an end, and the program is to see it. A terminal may come
	// back.
	c.StdinOnce = c.Stdin && !c.TTY
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
			if c := &pod.Spec.EphemeralContainers[j]; c.Name == s.Container && r.matches((*corev1.Container)(&c.EphemeralContainerCommon), c.TargetContainerName) {
				return s
			}
		}
	}
	return nil
}

func (r *request) matches(c *corev1.Container, target string) bool {
	command, args := shape.Command(r.shape.Foreign, r.shape.Command)
	profile := envOf(c.Env, profileVar)
	return target == r.shape.Target && sameImage(r.shape.Image, c.Image) &&
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
	pod *corev1.Pod
	*rung
	notes    []string
	pullNote string
	// lower are the profiles that were tried before and denied.
	lower []denial
	// before is the one that was there already; then there is no rung.
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
	ladder, plan, err := c.ladder(ctx, pod, r)
	if err != nil {
		return nil, err
	}
	a, err := c.climb(ladder, r.shape.Profile != "", dryRun)
	if d, ok := errors.AsType[*denied](err); ok {
		d.what, d.asked = "nothing was added to pod "+pod.Name, r.shape.Profile
		if r.shape.Profile != "" {
			lower := *r
			lower.shape.Profile = ""
			if ladder, _, err = c.ladder(ctx, pod, &lower); err != nil {
				return nil, err
			}
			if err := d.passing(ladder); err != nil {
				return nil, explain(err, pod)
			}
		}
		return nil, d
	}
	if err != nil {
		return nil, explain(err, pod)
	}
	a.notes, a.pullNote = plan.Notes, plan.PullNote
	return a, nil
}

// ladder is how the container of each profile is added to a pod.
func (c *client) ladder(ctx context.Context, pod *corev1.Pod, r *request) ([]rung, *shape.Plan, error) {
	plan, err := r.plan(ctx, pod)
	if err != nil {
		return nil, nil, err
	}
	var ladder []rung
	step := func(candidate *shape.Candidate, denials []shape.Denial) {
		ladder = append(ladder, rung{
			profile: candidate.Profile, container: candidate.Container.Name, image: candidate.Container.Image,
			leavesOut: candidate.LeavesOut, known: predicted(denials),
			put: func(dry bool) (*corev1.Pod, error) { return c.update(ctx, pod, candidate, dry) },
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
