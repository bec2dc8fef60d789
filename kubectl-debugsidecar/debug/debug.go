package debug

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/copy"
	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// defaultContainer is an annotation by which a pod names its main container.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// ownPrefix is that of containers that the webhook put into a pod.
const ownPrefix = "debugsidecar-"

// facts are what the cluster says, asked for all at once.
type facts struct {
	pod       *corev1.Pod
	settings  settings
	namespace shape.Namespace
	// neighbours are read for a copy alone.
	neighbours *copy.Neighbours
}

func (o *options) gather(ctx context.Context, c *client, namespace string) (*facts, error) {
	f := &facts{}
	var wait sync.WaitGroup
	var podErr, settingsErr error
	wait.Go(func() { f.pod, podErr = o.find(ctx, c, namespace) })
	if !o.attach {
		wait.Go(func() {
			f.settings, settingsErr = c.settings(ctx, o.webhookNamespace, o.webhookName)
		})
		wait.Go(func() {
			if ns, err := c.core.Namespaces().Get(ctx, namespace, metav1.GetOptions{}); err == nil {
				f.namespace = shape.Namespace{Known: true, Labels: ns.Labels, Annotations: ns.Annotations}
			}
		})
	}
	wait.Wait()
	c.warnings.take()
	if err := errors.Join(podErr, settingsErr); err != nil {
		return nil, err
	}
	if o.verbose && !o.attach {
		note(o.streams.ErrOut, "image, times and highest profile come from %s", f.settings.from)
		if !f.namespace.Known {
			note(o.streams.ErrOut, "the labels of namespace %s can't be read: what it permits, the API server says", namespace)
		}
	}
	return f, nil
}

// find is the pod that was named, or chosen.
func (o *options) find(ctx context.Context, c *client, namespace string) (*corev1.Pod, error) {
	if o.target.workload == nil {
		return c.get(ctx, namespace, o.target.pod)
	}
	pods, err := c.podsOf(ctx, namespace, o.target)
	if err != nil {
		return nil, err
	}
	what := o.target.workload.kind + "/" + o.target.name
	if o.pod != "" {
		var names []string
		for i := range pods {
			if pods[i].Name == o.pod {
				return &pods[i], nil
			}
			names = append(names, pods[i].Name)
		}
		return nil, fmt.Errorf("%s has no pod %s; it has %s", what, o.pod, strings.Join(names[:min(len(names), maxShown)], ", "))
	}
	var choices []choice
	now := time.Now()
	for i := range pods {
		choices = append(choices, choice{pods[i].Name, describe(&pods[i], now)})
	}
	i, err := o.choose(ctx, fmt.Sprintf("%s has %d pods", what, len(pods)), "--pod", choices)
	if err != nil {
		return nil, err
	}
	return &pods[i], nil
}

// debug does what the flags say.
func (o *options) debug(ctx context.Context, c *client, namespace string) error {
	f, err := o.gather(ctx, c, namespace)
	if err != nil {
		return err
	}
	if o.attach {
		return o.reattach(ctx, c, f.pod)
	}
	r, err := o.request(f)
	if err != nil {
		return err
	}
	if o.dryRun != "" {
		return o.show(ctx, c, f, r)
	}
	starting, stop := context.WithTimeout(ctx, o.timeout)
	defer stop()
	events := c.watchEvents(starting, f.pod, "spec.ephemeralContainers{"+r.shape.Name+"}")
	a, err := c.add(starting, f.pod, r, false)
	if t, ok := errors.AsType[*terminated](err); ok && o.allowTerminated {
		note(o.streams.ErrOut, "%s", t.text)
		return o.debugCopy(ctx, starting, c, f, r)
	}
	if err != nil {
		return err
	}
	d := o.told(c, r, a)
	version := a.pod.ResourceVersion
	if a.before != nil {
		version, events = "", nil
	}
	return o.enter(ctx, starting, c, d, version, events)
}

// enter waits for a debug container, and attaches.
func (o *options) enter(ctx, starting context.Context, c *client, d *debugger, version string, events <-chan *corev1.Event) error {
	if !o.terminal.is && o.stdin {
		// An attempt that comes too early takes what was piped in with it.
		events = nil
	}
	b, err := c.await(starting, d, version, events, newProgress(o.streams.ErrOut))
	if err != nil {
		return err
	}
	if o.detach || !o.terminal.is && !o.stdin && len(o.command) == 0 && !o.attach {
		return o.report(d)
	}
	return o.run(ctx, c, d, b)
}

// request is what is asked for, with the installation's defaults.
func (o *options) request(f *facts) (*request, error) {
	image, ttl := o.image, o.ttl
	if image == "" {
		image = f.settings.image
	}
	foreign := !sameRepository(image, f.settings.image) && !sameRepository(image, defaultImage)
	switch {
	case o.noTTL:
		ttl = 0
	case foreign:
		return nil, fmt.Errorf("image %s is not ours, so it can't be made to end by itself after a time: say that with --no-ttl, and end it yourself", image)
	case !o.ttlSet:
		ttl = f.settings.ttl
	case f.settings.maxTTL > 0 && ttl > f.settings.maxTTL:
		return nil, fmt.Errorf("--ttl: %s is more than the %s that %s permits", ttl, f.settings.maxTTL, f.settings.from)
	}
	target, err := o.targetIn(f.pod)
	if err != nil {
		return nil, err
	}
	return &request{
		shape: shape.Options{
			Name: newName(f.pod), Target: target, Image: image, Foreign: foreign,
			PullPolicy: corev1.PullPolicy(o.pullPolicy), Command: o.command, Profile: shape.Profile(o.profile), Highest: f.settings.highest,
			Reason: o.reason, Ticket: o.ticket, TTL: ttl,
			Stdin: o.terminal.is || o.stdin, TTY: o.terminal.is,
		},
		namespace: f.namespace, fresh: o.fresh,
	}, nil
}

// targetIn is the container that is debugged.
func (o *options) targetIn(pod *corev1.Pod) (string, error) {
	if o.container != "" {
		return o.container, nil // shape says if there is none
	}
	if name := pod.Annotations[defaultContainer]; name != "" {
		for i := range pod.Spec.Containers {
			if pod.Spec.Containers[i].Name == name {
				return name, nil
			}
		}
	}
	for i := range pod.Spec.Containers {
		if name := pod.Spec.Containers[i].Name; !strings.HasPrefix(name, ownPrefix) {
			return name, nil
		}
	}
	return "", fmt.Errorf("pod %s has no container but those that debugsidecar added: name one with -c", pod.Name)
}

// told says what was added, or found, and is the debug container.
func (o *options) told(c *client, r *request, a *added) *debugger {
	out := o.streams.ErrOut
	for _, w := range c.warnings.take() {
		note(out, "warning: %s", w)
	}
	if a.before != nil {
		note(out, "back in %s%s; --new adds another", a.before.Container, whose(a.before))
		return &debugger{pod: a.pod, container: a.before.Container, foreign: r.shape.Foreign}
	}
	for _, d := range a.lower {
		note(out, "profile %s is denied: %s", d.profile, strings.Join(d.lines, "; "))
	}
	until := "without an end"
	if r.shape.TTL > 0 {
		until = "for " + spoken(r.shape.TTL)
	}
	note(out, "%s beside %s: profile %s, %s, %s", a.container, r.shape.Target, a.profile, a.image, until)
	for _, l := range a.leavesOut {
		note(out, "  without: %s", l)
	}
	if o.verbose || o.dryRun != "" {
		for _, n := range a.notes {
			note(out, "  %s", n)
		}
	}
	return &debugger{pod: a.pod, container: a.container, pullNote: a.pullNote, foreign: r.shape.Foreign, added: true}
}

// spoken is a duration without what is nought at its end.
func spoken(d time.Duration) string {
	text := d.String()
	for _, nought := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, nought) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// whose says who began a session, and until when it lasts, as far as that is known.
func whose(s *session.Session) string {
	text := ""
	if s.User != "" {
		text = ", which " + s.User + " began"
		if !s.Since.IsZero() {
			text += " at " + s.Since.Local().Format(time.TimeOnly)
		}
	}
	if !s.Until.IsZero() {
		text += ", until " + s.Until.Local().Format(time.TimeOnly)
	}
	return text
}

// reattach goes into a debug container that is there.
func (o *options) reattach(ctx context.Context, c *client, pod *corev1.Pod) error {
	var found []session.Session
	var choices []choice
	for _, s := range session.Of(pod, time.Now()) {
		if s.State == session.Done || o.container != "" && o.container != s.Container && o.container != s.Target {
			continue
		}
		found = append(found, s)
		choices = append(choices, choice{s.Container, fmt.Sprintf("%s  %s, beside %s%s", s.Container, s.State, s.Target, whose(&s))})
	}
	if len(found) == 0 {
		if copies, err := c.copiesOf(ctx, pod); err == nil && len(copies) > 0 && pod.Labels[session.CopyOfLabel] == "" {
			var choices []choice
			for i := range copies {
				choices = append(choices, choice{copies[i].Name, describe(&copies[i], time.Now())})
			}
			i, err := o.choose(ctx, fmt.Sprintf("pod %s has %d copies", pod.Name, len(copies)), "their names instead of the pod's", choices)
			if err != nil {
				return err
			}
			return o.reattach(ctx, c, &copies[i])
		}
		which := "pod " + pod.Name
		if o.container != "" {
			which = fmt.Sprintf("container %s of pod %s", o.container, pod.Name)
		}
		return fmt.Errorf("there is no debug container that runs for %s; without --attach one is added", which)
	}
	// One that runs is meant, if there is one.
	if slices.ContainsFunc(found, isRunning) {
		choices = slices.DeleteFunc(choices, func(c choice) bool {
			return !slices.ContainsFunc(found, func(s session.Session) bool { return s.Container == c.name && isRunning(s) })
		})
		found = slices.DeleteFunc(found, func(s session.Session) bool { return !isRunning(s) })
	}
	i, err := o.choose(ctx, fmt.Sprintf("pod %s has %d debug containers", pod.Name, len(found)), "-c", choices)
	if err != nil {
		return err
	}
	s := &found[i]
	note(o.streams.ErrOut, "back in %s%s", s.Container, whose(s))
	d := &debugger{pod: pod, container: s.Container, isCopy: s.IsCopy, foreign: true}
	starting, stop := context.WithTimeout(ctx, o.timeout)
	defer stop()
	return o.enter(ctx, starting, c, d, "", nil)
}

func isRunning(s session.Session) bool { return s.State == session.Running }
