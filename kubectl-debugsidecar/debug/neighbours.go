package debug

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/copy"
)

// maxPages bounds how much of a namespace is read; a page has maxPods objects.
const maxPages = 20

// controllers are the kinds that select pods, as URLs have them.
var controllers = []struct{ kind, path, many string }{
	{"ReplicaSet", "/apis/apps/v1", "replicasets"},
	{"StatefulSet", "/apis/apps/v1", "statefulsets"},
	{"DaemonSet", "/apis/apps/v1", "daemonsets"},
	{"ReplicationController", "/api/v1", "replicationcontrollers"},
	{"Job", "/apis/batch/v1", "jobs"},
	{"PodDisruptionBudget", "/apis/policy/v1", "poddisruptionbudgets"},
}

// neighbours reads what in a namespace may take a copy of a pod for the pod, and
// says what could not be read.
func (c *client) neighbours(ctx context.Context, namespace string) (copy.Neighbours, []string) {
	var n copy.Neighbours
	var mu sync.Mutex
	var wait sync.WaitGroup
	unread := map[string][]string{} // by why
	read := func(path, many string, unknown *bool, add func(json.RawMessage) error) {
		wait.Go(func() {
			err := c.list(ctx, path, namespace, many, func(items []json.RawMessage) error {
				mu.Lock()
				defer mu.Unlock()
				for _, item := range items {
					if err := add(item); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				*unknown = true
				why := strings.Join(denialLines(err), " ")
				if apierrors.IsForbidden(err) {
					why = "you may not list them"
				}
				unread[why] = append(unread[why], many)
			}
		})
	}
	read("/api/v1", "services", &n.Unknown.Services, into(&n.Services))
	read("/apis/networking.k8s.io/v1", "networkpolicies", &n.Unknown.NetworkPolicies, into(&n.NetworkPolicies))
	read("/api/v1", "persistentvolumeclaims", &n.Unknown.Claims, into(&n.Claims))
	for _, k := range controllers {
		read(k.path, k.many, &n.Unknown.Controllers, func(item json.RawMessage) error {
			controller, err := controllerOf(k.kind, item)
			if controller != nil {
				n.Controllers = append(n.Controllers, *controller)
			}
			return err
		})
	}
	wait.Wait()
	var notKnown []string
	for _, why := range slices.Sorted(maps.Keys(unread)) {
		slices.Sort(unread[why])
		notKnown = append(notKnown, fmt.Sprintf("what may take the copy for the pod is not wholly known: %s of namespace %s: %s", strings.Join(unread[why], ", "), namespace, why))
	}
	return n, notKnown
}

// into decodes an object and appends it.
func into[T corev1.Service | networkingv1.NetworkPolicy | corev1.PersistentVolumeClaim](list *[]T) func(json.RawMessage) error {
	return func(item json.RawMessage) error {
		var one T
		if err := json.Unmarshal(item, &one); err != nil {
			return fmt.Errorf("reading it: %w", err)
		}
		*list = append(*list, one)
		return nil
	}
}

// controllerOf reads what a controller selects; nil if that is nothing.
func controllerOf(kind string, item json.RawMessage) (*copy.Controller, error) {
	var object struct {
		Metadata struct{ Name string } `json:"metadata"`
		Spec     struct {
			Selector json.RawMessage `json:"selector"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(item, &object); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	if len(object.Spec.Selector) == 0 {
		return nil, nil
	}
	selector := &metav1.LabelSelector{}
	if kind == "ReplicationController" {
		if err := json.Unmarshal(object.Spec.Selector, &selector.MatchLabels); err != nil {
			return nil, fmt.Errorf("reading its selector: %w", err)
		}
	} else if err := json.Unmarshal(object.Spec.Selector, selector); err != nil {
		return nil, fmt.Errorf("reading its selector: %w", err)
	}
	return &copy.Controller{Kind: kind, Name: object.Metadata.Name, Selector: selector}, nil
}

// list reads all objects of a kind in a namespace, a page at a time.
func (c *client) list(ctx context.Context, path, namespace, many string, page func([]json.RawMessage) error) error {
	next := ""
	for range maxPages {
		data, err := c.core.RESTClient().Get().AbsPath(path, "namespaces", namespace, many).
			Param("limit", fmt.Sprint(maxPods)).Param("continue", next).SetHeader("Accept", "application/json").Do(ctx).Raw()
		if err != nil {
			return err
		}
		var list struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(data, &list); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		if err := page(list.Items); err != nil {
			return err
		}
		if next = list.Metadata.Continue; next == "" {
			return nil
		}
	}
	return fmt.Errorf("there are more than %d", maxPages*maxPods)
}
