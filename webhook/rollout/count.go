package rollout

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/webhook/canary"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
	"github.com/debugsidecar/debugsidecar/webhook/missed"
)

// page is how many pods are read at once; none is kept.
const page = 500

// living leaves out pods that ended.
var living = fields.AndSelectors(
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))

// tally counts the pods with the two sidecars, of those made since the canary
// began: what older ones suffered says nothing about today.
type tally struct {
	*Leader
	stable, fresh map[string]string // revisions, by profile
	thresholds    canary.Thresholds
	since, now    time.Time
	pods, others  canary.Count
}

func (l *Leader) count(ctx context.Context, c *config.Snapshot, since, now time.Time) (pods, others canary.Count, err error) {
	n := &tally{
		Leader: l, stable: c.Profiles.Revisions(), fresh: c.Canary.Revisions(), thresholds: c.File.Canary.Thresholds(),
		since: since.Truncate(time.Second), now: now,
	}
	var namespaces corev1.NamespaceList
	if err := l.Cache.List(ctx, &namespaces, client.HasLabels{inject.Label}); err != nil {
		return pods, others, fmt.Errorf("listing namespaces: %w", err)
	}
	if err := n.list(ctx, "", selection.Exists); err != nil {
		return pods, others, err
	}
	for i := range namespaces.Items {
		if err := n.list(ctx, namespaces.Items[i].Name, selection.DoesNotExist); err != nil {
			return pods, others, err
		}
	}
	return n.pods, n.others, nil
}

// list counts a namespace's pods, or all, whose label is there or is not.
func (n *tally) list(ctx context.Context, namespace string, label selection.Operator) error {
	labelled, err := labels.NewRequirement(inject.Label, label, nil)
	if err != nil {
		return err
	}
	next := ""
	for {
		var list corev1.PodList
		err := n.API.List(ctx, &list, client.InNamespace(namespace), client.Limit(page), client.Continue(next),
			client.MatchingFieldsSelector{Selector: living},
			client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*labelled)})
		if err != nil {
			return fmt.Errorf("listing pods: %w", err)
		}
		for i := range list.Items {
			n.pod(&list.Items[i])
		}
		if next = list.Continue; next == "" {
			return nil
		}
	}
}

// pod counts a pod, if the kubelet told of its sidecar. A profile that the canary
// does not change, and sidecars of other revisions, say nothing about it.
func (n *tally) pod(pod *corev1.Pod) {
	status, ok := missed.StatusOf(&pod.ObjectMeta)
	if !ok || status.Revision == "" || pod.DeletionTimestamp != nil || pod.CreationTimestamp.Time.Before(n.since) ||
		n.stable[status.Profile] == n.fresh[status.Profile] {
		return
	}
	s := statusOf(pod, profile.NamePrefix+status.Profile)
	if s == nil {
		return
	}
	count := &n.others
	switch status.Revision {
	case n.fresh[status.Profile]:
		count = &n.pods
	case n.stable[status.Profile]:
	default:
		return
	}
	count.Pods++
	if canary.Failed(s, n.thresholds, n.now) != "" {
		count.Failed++
	}
}

// statusOf returns the status of a container of that name; nil if the kubelet
// told nothing yet.
func statusOf(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
