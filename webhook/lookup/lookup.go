// Package lookup reads what an admission needs to know of a namespace, from the
// manager's cache, and of a pod, from the API server.
package lookup

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// Cluster reads namespaces, LimitRanges and ResourceQuotas.
type Cluster struct {
	// Cache answers from memory.
	Cache client.Reader
	// API answers from the API server. It is asked for a namespace that the
	// cache does not know yet: pods often follow their namespace at once.
	API client.Reader
}

// liveTimeout bounds what a cache miss costs: the webhook has 2 s in all.
const liveTimeout = 500 * time.Millisecond

// Namespace returns what is known of a namespace. What can't be read in time is
// marked as unknown, never guessed.
func (c *Cluster) Namespace(ctx context.Context, name string) inject.Namespace {
	from := c.Cache
	var ns corev1.Namespace
	if err := from.Get(ctx, client.ObjectKey{Name: name}, &ns); err != nil {
		live, cancel := context.WithTimeout(ctx, liveTimeout)
		defer cancel()
		ctx, from = live, c.API
		if err := from.Get(ctx, client.ObjectKey{Name: name}, &ns); err != nil {
			return inject.Namespace{Name: name, Unknown: true}
		}
	}
	out := inject.Namespace{Name: name, Labels: ns.Labels, Annotations: ns.Annotations}
	var limits corev1.LimitRangeList
	var quotas corev1.ResourceQuotaList
	if from.List(ctx, &limits, client.InNamespace(name)) != nil || from.List(ctx, &quotas, client.InNamespace(name)) != nil {
		out.Unknown = true
		return out
	}
	out.LimitRanges, out.Quotas = limits.Items, quotas.Items
	return out
}

// Labels returns a namespace's labels, and whether they could be read.
func (c *Cluster) Labels(ctx context.Context, name string) (map[string]string, bool) {
	var ns corev1.Namespace
	if c.Cache.Get(ctx, client.ObjectKey{Name: name}, &ns) == nil {
		return ns.Labels, true
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	if c.API.Get(ctx, client.ObjectKey{Name: name}, &ns) == nil {
		return ns.Labels, true
	}
	return nil, false
}

// podTimeout bounds the reading of one pod; whoever waits for it is a person.
const podTimeout = time.Second

// Pod returns a pod as the API server has it now, nil if there is none. It is
// listed by its name, because to list pods is all that the webhook may do.
func (c *Cluster) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, podTimeout)
	defer cancel()
	var pods corev1.PodList
	err := c.API.List(ctx, &pods, client.InNamespace(namespace), client.MatchingFields{"metadata.name": name})
	if err != nil {
		return nil, fmt.Errorf("reading pod %s/%s: %w", namespace, name, err)
	}
	for i := range pods.Items {
		if pods.Items[i].Name == name {
			return &pods.Items[i], nil
		}
	}
	return nil, nil
}
