package cert

import (
	"bytes"
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// register makes the manager call Reconcile at its start and when the Secret or
// a configuration changes.
func (k *keeper) register(mgr manager.Manager) error {
	only := reconcile.Request{NamespacedName: client.ObjectKey{Name: k.options.Configuration}}
	change := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{only}
	})
	start := source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(only)
		return nil
	})
	everyReplica := false
	err := builder.ControllerManagedBy(mgr).Named("ca-bundle").
		WithOptions(controller.Options{NeedLeaderElection: &everyReplica, MaxConcurrentReconciles: 1}).
		Watches(&corev1.Secret{}, change).
		Watches(&admissionv1.MutatingWebhookConfiguration{}, change).
		Watches(&admissionv1.ValidatingWebhookConfiguration{}, change).
		WatchesRawSource(start).
		Complete(k)
	if err != nil {
		return fmt.Errorf("setting up the keeper of the CA: %w", err)
	}
	return nil
}

// tell makes both configurations trust the bundle.
func (k *keeper) tell(ctx context.Context, bundle []byte) error {
	var mutating admissionv1.MutatingWebhookConfiguration
	err := k.trust(ctx, &mutating, bundle, func() (configs []*admissionv1.WebhookClientConfig) {
		for i := range mutating.Webhooks {
			configs = append(configs, &mutating.Webhooks[i].ClientConfig)
		}
		return configs
	})
	if err != nil {
		return err
	}
	var validating admissionv1.ValidatingWebhookConfiguration
	return k.trust(ctx, &validating, bundle, func() (configs []*admissionv1.WebhookClientConfig) {
		for i := range validating.Webhooks {
			configs = append(configs, &validating.Webhooks[i].ClientConfig)
		}
		return configs
	})
}

// trust writes the bundle into the configuration's entries, if it is not there.
// A missing configuration is none of our business: the chart makes it.
func (k *keeper) trust(ctx context.Context, object client.Object, bundle []byte, configs func() []*admissionv1.WebhookClientConfig) error {
	if err := k.client.Get(ctx, client.ObjectKey{Name: k.options.Configuration}, object); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("reading a webhook configuration: %w", err)
	}
	changed := false
	for _, c := range configs() {
		if !bytes.Equal(c.CABundle, bundle) {
			c.CABundle, changed = bundle, true
		}
	}
	if !changed {
		return nil
	}
	if err := k.client.Update(ctx, object); err != nil {
		return fmt.Errorf("writing the CA bundle: %w", err)
	}
	log.FromContext(ctx).Info("wrote the CA bundle", "configuration", k.options.Configuration, "kind", fmt.Sprintf("%T", object))
	return nil
}
