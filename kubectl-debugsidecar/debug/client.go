package debug

import (
	"context"
	"errors"
	"fmt"
	"sync"

	admissionv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// client has the API groups that are used, and no others.
type client struct {
	config    *rest.Config
	core      corev1.CoreV1Interface
	apps      appsv1.AppsV1Interface
	admission admissionv1.AdmissionregistrationV1Interface
	warnings  *warnings
}

func newClient(config *rest.Config) (*client, error) {
	config = rest.CopyConfig(config)
	w := &warnings{}
	config.QPS, config.Burst, config.WarningHandlerWithContext = 50, 100, w
	config.UserAgent = "kubectl-debugsidecar"
	// One connection for all.
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	core, err1 := corev1.NewForConfigAndClient(config, http)
	apps, err2 := appsv1.NewForConfigAndClient(config, http)
	admission, err3 := admissionv1.NewForConfigAndClient(config, http)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	return &client{config, core, apps, admission, w}, nil
}

// maxWarnings is how many are kept of one request: webhooks write them.
const maxWarnings = 16

// warnings keeps what the API server warns of, until it is known whether the
// request is the one that counts.
type warnings struct {
	mu   sync.Mutex
	kept []string
}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	if code != 299 || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.kept) < maxWarnings {
		w.kept = append(w.kept, session.Text(text))
	}
}

// take returns the warnings since the last time.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.kept
	w.kept = nil
	return kept
}
