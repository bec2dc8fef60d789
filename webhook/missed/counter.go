package missed

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// Counter counts the pods that went without, regularly, on the leader alone. It
// keeps none of them: it reads the metadata of those that a label concerns, a
// page at a time. To watch all pods of a cluster would cost memory for each.
type Counter struct {
	// Every is the time between counts.
	Every time.Duration
	// Configuration is the name of our webhook configurations.
	Configuration string
	// Cache knows the namespaces' labels; API is asked for all else.
	Cache, API client.Reader
	Log        *slog.Logger

	pods *prometheus.GaugeVec
	at   prometheus.Gauge
}

// Register makes the metrics.
func (c *Counter) Register(r prometheus.Registerer) {
	c.pods = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "debugsidecar_webhook_pods_missed",
		Help: "Pods that are to have a sidecar and went without, by reason: not-reached, label-later, before-install, profile-unknown, skipped. Of the leader only.",
	}, []string{"reason"})
	c.at = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "debugsidecar_webhook_pods_missed_timestamp_seconds",
		Help: "When the pods that went without were counted last; 0 on replicas that don't lead.",
	})
	r.MustRegister(c.pods, c.at)
}

// NeedLeaderElection is true: one count is enough.
func (c *Counter) NeedLeaderElection() bool { return true }

// Start counts until ctx ends.
func (c *Counter) Start(ctx context.Context) error {
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	before := map[Reason]int{}
	for {
		counts, err := c.count(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			c.Log.Warn("the pods that went without a sidecar can't be counted", "err", err)
		default:
			c.tell(before, counts)
			before = counts
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *Counter) tell(before, now map[Reason]int) {
	for _, r := range Reasons() {
		c.pods.WithLabelValues(string(r)).Set(float64(now[r]))
		if now[r] > before[r] {
			c.Log.Warn("pods went without their sidecar; kubectl debugsidecar status lists them", "reason", r, "pods", now[r], "before", before[r])
		}
	}
	c.at.SetToCurrentTime()
}

// count reads what there is now.
func (c *Counter) count(ctx context.Context) (map[Reason]int, error) {
	var configuration admissionv1.MutatingWebhookConfiguration
	if err := c.API.Get(ctx, client.ObjectKey{Name: c.Configuration}, &configuration); err != nil {
		return nil, fmt.Errorf("reading the webhook configuration: %w", err)
	}
	installation, err := Of(&configuration)
	if err != nil {
		return nil, err
	}
	n := &tally{c: c, installation: installation, namespaces: map[string]*metav1.ObjectMeta{}, counts: map[Reason]int{}}
	var namespaces corev1.NamespaceList
	if err := c.Cache.List(ctx, &namespaces, client.HasLabels{inject.Label}); err != nil {
		return nil, fmt.Errorf("listing namespaces: %w", err)
	}
	if err := n.list(ctx, "", selection.Exists); err != nil {
		return nil, err
	}
	for i := range namespaces.Items {
		if ns := &namespaces.Items[i]; installation.Wanted(&metav1.ObjectMeta{}, &ns.ObjectMeta) != "" {
			if err := n.list(ctx, ns.Name, selection.DoesNotExist); err != nil {
				return nil, err
			}
		}
	}
	return n.counts, nil
}

type tally struct {
	c            *Counter
	installation *Installation
	namespaces   map[string]*metav1.ObjectMeta // nil: it has gone
	counts       map[Reason]int
}

const page = 500

// running leaves out pods that ended: nothing can be done about them.
var running = fields.AndSelectors(
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))

// list counts a namespace's pods, or all, whose label is there or is not.
func (n *tally) list(ctx context.Context, namespace string, label selection.Operator) error {
	labelled, err := labels.NewRequirement(inject.Label, label, nil)
	if err != nil {
		return err
	}
	next := ""
	for {
		var pods metav1.PartialObjectMetadataList
		pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		err := n.c.API.List(ctx, &pods, client.InNamespace(namespace), client.Limit(page), client.Continue(next),
			client.MatchingFieldsSelector{Selector: running},
			client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*labelled)})
		if err != nil {
			return fmt.Errorf("listing pods: %w", err)
		}
		for i := range pods.Items {
			if err := n.pod(ctx, &pods.Items[i].ObjectMeta); err != nil {
				return err
			}
		}
		if next = pods.Continue; next == "" {
			return nil
		}
	}
}

func (n *tally) pod(ctx context.Context, pod *metav1.ObjectMeta) error {
	if status, ok := StatusOf(pod); ok && status.Skipped == "" || pod.DeletionTimestamp != nil {
		return nil
	}
	ns, err := n.namespace(ctx, pod.Namespace)
	if ns == nil || err != nil {
		return err
	}
	if found, ok := n.installation.Why(pod, ns); ok {
		n.counts[found.Reason]++
	}
	return nil
}

// namespace asks for a namespace's metadata: the cache has no managed fields.
func (n *tally) namespace(ctx context.Context, name string) (*metav1.ObjectMeta, error) {
	if ns, ok := n.namespaces[name]; ok {
		return ns, nil
	}
	var ns metav1.PartialObjectMetadata
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err := n.c.API.Get(ctx, client.ObjectKey{Name: name}, &ns)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading namespace %s: %w", name, err)
	}
	n.namespaces[name] = nil
	if err == nil {
		n.namespaces[name] = &ns.ObjectMeta
	}
	return n.namespaces[name], nil
}
