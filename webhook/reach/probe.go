package reach

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// Timeout is how long one probe takes at most: the entry's own timeout (2 s),
// and what a slow API server needs.
const Timeout = 10 * time.Second

// Prober asks an API server for the webhook. It is not for concurrent use.
type Prober struct {
	namespace string
	client    typedv1.ConfigMapsGetter
	warnings  *warnings
}

// NewProber makes a prober for the webhook that is installed in the namespace.
// Its user has to have the right to create ConfigMaps there.
func NewProber(config *rest.Config, namespace string) (*Prober, error) {
	p := &Prober{namespace: namespace, warnings: &warnings{}}
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext, config.WarningHandler = nil, p.warnings
	client, err := typedv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	p.client = client
	return p, nil
}

// Probe asks once. Nothing is stored: it is a dry run.
func (p *Prober) Probe(ctx context.Context) Result {
	nonce := newNonce()
	p.warnings.take()
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	_, err := p.client.ConfigMaps(p.namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name:   "debugsidecar-self-probe-" + nonce,
		Labels: map[string]string{Label: nonce},
	}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return explain(err, p.namespace)
	}
	pod, found := parse(p.warnings.take(), nonce)
	if !found {
		return notAsked(p.namespace)
	}
	return Result{Outcome: Reached, Pod: pod, Reason: "the API server reaches the webhook: " + pod + " answered"}
}

// newNonce is a label's value and a part of a name.
func newNonce() string {
	b := make([]byte, 8)
	rand.Read(b) //nolint:errcheck // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// warnings gathers what the API server warns about.
type warnings struct {
	mu   sync.Mutex
	text []string
}

// HandleWarningHeader fits rest.WarningHandler. 299 is the only code that
// Kubernetes sends.
func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if code != 299 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.text
	w.text = nil
	return all
}
