package open

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
)

// find returns the probe that a name means: a pod's, or that of the first pod of a
// workload whose probe runs.
func (o *opener) find(ctx context.Context, name string) (probes.Probe, error) {
	kind, workload, isKind := strings.Cut(name, "/")
	if !isKind {
		return o.ofPod(ctx, name)
	}
	var selector *metav1.LabelSelector
	var err error
	switch kind {
	case "pod", "pods", "po":
		return o.ofPod(ctx, workload)
	case "deploy", "deployment", "deployments":
		d, getErr := o.apps.Deployments(o.namespace).Get(ctx, workload, metav1.GetOptions{})
		if err = getErr; err == nil {
			selector = d.Spec.Selector
		}
	default:
		return probes.Probe{}, fmt.Errorf("%q: only pods and deployments can be named, as POD or deploy/NAME", name)
	}
	if err != nil {
		return probes.Probe{}, unread("get", "deployments", o.namespace, workload, err)
	}
	labels, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return probes.Probe{}, fmt.Errorf("the selector of deployment %s: %w", workload, err)
	}
	list, err := o.core.Pods(o.namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.String(), Limit: 500})
	if err != nil {
		return probes.Probe{}, unread("list", "pods", o.namespace, workload, err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	var run []probes.Probe
	var why []string
	for i := range list.Items {
		p, ok := probes.Of(&list.Items[i])
		switch {
		case !ok:
			why = append(why, list.Items[i].Name+" has no probe")
		case p.Waits != "":
			why = append(why, list.Items[i].Name+": "+p.Waits)
		default:
			run = append(run, p)
		}
	}
	if len(run) == 0 {
		if len(why) == 0 {
			why = []string{"it has no pods"}
		}
		return probes.Probe{}, fmt.Errorf("no pod of deployment %s/%s has a running probe: %s", o.namespace, workload, strings.Join(why[:min(len(why), 5)], "; "))
	}
	for i := 1; i < len(run) && i <= 5; i++ {
		o.say("deployment %s has %d pods with a running probe; %s is another", workload, len(run), run[i].Pod)
	}
	return run[0], nil
}

func (o *opener) ofPod(ctx context.Context, name string) (probes.Probe, error) {
	pod, err := o.core.Pods(o.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return probes.Probe{}, unread("get", "pods", o.namespace, name, err)
	}
	p, ok := probes.Of(pod)
	switch {
	case probes.Ended(pod):
		return p, fmt.Errorf("pod %s/%s has ended", o.namespace, name)
	case !ok:
		return p, fmt.Errorf("pod %s/%s has no video probe: label it debugsidecar.io/inject=video-probe and create it again; kubectl debugsidecar status says why one went without", o.namespace, name)
	case p.Waits != "":
		return p, fmt.Errorf("the probe of pod %s/%s does not run: %s", o.namespace, name, p.Waits)
	}
	return p, nil
}

func unread(verb, what, namespace, name string, err error) error {
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not %s %s in namespace %s", verb, what, namespace)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no %s %s in namespace %s", strings.TrimSuffix(what, "s"), name, namespace)
	}
	return errors.New(line(err.Error()))
}
