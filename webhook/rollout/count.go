package rollout

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/webhook/canary"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
	"github.com/debugsidecar/debugsidecar/webhook/missed"
)

// page is how many pods are read at once; none is kept.
const page = 500

// living leaves out pods that ended.
var living = fields.AndSelectors(
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))

// count returns how many pods have the canary's sidecar and how many the other,
// and in how many of each it fails. A profile that the canary does not change, and
// sidecars of older revisions, say nothing about it.
func (l *Leader) count(ctx context.Context, c *config.Snapshot, now time.Time) (pods, others canary.Count, err error) {
	stable, fresh := c.Profiles.Revisions(), c.Canary.Revisions()
	thresholds := c.File.Canary.Thresholds()
	next := ""
	for {
		var list corev1.PodList
		if err := l.API.List(ctx, &list, client.Limit(page), client.Continue(next), client.MatchingFieldsSelector{Selector: living}); err != nil {
			return pods, others, fmt.Errorf("listing pods: %w", err)
		}
		for i := range list.Items {
			pod := &list.Items[i]
			status, ok := missed.StatusOf(&pod.ObjectMeta)
			if !ok || status.Revision == "" || pod.DeletionTimestamp != nil || stable[status.Profile] == fresh[status.Profile] {
				continue
			}
			var n *canary.Count
			switch status.Revision {
			case fresh[status.Profile]:
				n = &pods
			case stable[status.Profile]:
				n = &others
			default:
				continue
			}
			n.Pods++
			if s := statusOf(pod, profile.NamePrefix+status.Profile); s != nil && canary.Failed(s, thresholds, now) != "" {
				n.Failed++
			}
		}
		if next = list.Continue; next == "" {
			return pods, others, nil
		}
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
