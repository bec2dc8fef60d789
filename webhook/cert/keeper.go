package cert

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// trustedKey is the key of the CA's Secret that holds all CAs to trust: the
// present one and those just replaced.
const trustedKey = "trusted.crt"

// keeper keeps the CA in its Secret and the caBundle of our webhook
// configurations right, also after somebody damaged, cleared or changed them.
// All replicas run it: they write the same, and whoever is late reads it.
type keeper struct {
	client  client.Client
	options Options
	signer  *signer
	now     func() time.Time

	seen trusted // also what a deleted Secret held; one reconciliation runs at a time
}

// Reconcile makes a CA if there is none to go on with, tells API servers to
// trust it, and only then lets the signer use it.
func (k *keeper) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	current, err := k.reconcile(ctx)
	switch {
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		// Another replica was faster. What it wrote is on its way to our cache.
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	case err != nil:
		return reconcile.Result{}, err
	}
	// Come back when a CA is to be replaced, or a replaced one to be dropped.
	return reconcile.Result{RequeueAfter: min(overlap, max(time.Second, current.renewAt().Sub(k.now())))}, nil
}

func (k *keeper) reconcile(ctx context.Context) (*ca, error) {
	current, bundle, err := k.ensureCA(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.tell(ctx, bundle.encode()); err != nil {
		return nil, err
	}
	k.signer.use(current)
	return current, nil
}

// ensureCA returns the CA and all that are to be trusted, as the Secret has
// them after it.
func (k *keeper) ensureCA(ctx context.Context) (*ca, trusted, error) {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: k.options.Namespace, Name: k.options.Secret}
	err := k.client.Get(ctx, key, &secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, nil, fmt.Errorf("reading the CA's Secret: %w", err)
	}
	data := maps.Clone(secret.Data)
	if data == nil {
		data = map[string][]byte{}
	}
	current := readCA(data)
	if current == nil || !k.now().Before(current.renewAt()) {
		if current, err = newCA(k.now(), k.options.CALifetime); err != nil {
			return nil, nil, err
		}
		made, err := current.data()
		if err != nil {
			return nil, nil, err
		}
		maps.Copy(data, made)
	}
	bundle := parseBundle(data[trustedKey]).merge(current.certificate, k.now(), k.seen...)
	data[trustedKey] = bundle.encode()
	if err := k.write(ctx, key, &secret, missing, data); err != nil {
		return nil, nil, err
	}
	if !bundle.equal(k.seen) {
		log.FromContext(ctx).Info("CAs to trust", "number", len(bundle), "newest until", current.certificate.NotAfter)
	}
	k.seen = bundle
	return current, bundle, nil
}

func (k *keeper) write(ctx context.Context, key client.ObjectKey, secret *corev1.Secret, missing bool, data map[string][]byte) error {
	if missing {
		made := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: key.Namespace, Name: key.Name,
				Labels: map[string]string{"app.kubernetes.io/name": "debugsidecar"},
			},
			Data: data,
		}
		if err := k.client.Create(ctx, made); err != nil {
			return fmt.Errorf("making the CA's Secret: %w", err)
		}
		return nil
	}
	if maps.EqualFunc(secret.Data, data, bytes.Equal) {
		return nil
	}
	changed := secret.DeepCopy()
	changed.Data = data
	if err := k.client.Update(ctx, changed); err != nil {
		return fmt.Errorf("writing the CA's Secret: %w", err)
	}
	return nil
}
