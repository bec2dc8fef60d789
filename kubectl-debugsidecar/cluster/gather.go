package cluster

import (
	"context"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

// facts are what the checks see of a cluster. Of each part, the error says why
// it could not be read.
type facts struct {
	where         where
	now           time.Time
	mutating      *admissionv1.MutatingWebhookConfiguration
	mutatingErr   error
	validating    *admissionv1.ValidatingWebhookConfiguration
	validatingErr error
	deployment    *appsv1.Deployment // nil without an error if the webhook runs outside
	deploymentErr error
	tls           []byte // the serving certificate that cert-manager issued, if there is one
	tlsErr        error
	settings      *config.Snapshot
	settingsErr   error
	namespaces    []corev1.Namespace
	namespacesErr error
	probe         reach.Result
}

// gather reads all. Without our configuration there is nothing else to read.
func (c *client) gather(ctx context.Context, w where) *facts {
	f := &facts{where: w, now: time.Now()}
	if f.mutating, f.mutatingErr = c.mutating(ctx, w); f.mutatingErr == nil {
		if f.where.name = f.mutating.Name; w.namespace == "" {
			f.where.namespace = namespaceOf(f.mutating)
		}
	}
	if f.where.name == "" || f.where.namespace == "" {
		return f
	}
	f.validating, f.validatingErr = c.admission.ValidatingWebhookConfigurations().Get(ctx, f.where.name, metav1.GetOptions{})
	if !f.outside() {
		f.deployment, f.deploymentErr = c.apps.Deployments(f.where.namespace).Get(ctx, f.where.name, metav1.GetOptions{})
	}
	if f.certManager() {
		secret, err := c.core.Secrets(f.where.namespace).Get(ctx, f.where.name+"-tls", metav1.GetOptions{})
		if f.tlsErr = err; err == nil {
			f.tls = secret.Data[corev1.TLSCertKey]
		}
	}
	f.settings, f.settingsErr = c.settings(ctx, f.where)
	if list, err := c.core.Namespaces().List(ctx, metav1.ListOptions{}); err != nil {
		f.namespacesErr = err
	} else {
		f.namespaces = list.Items
	}
	f.probe = c.probe(ctx, f.where.namespace)
	return f
}

func (c *client) probe(ctx context.Context, namespace string) reach.Result {
	p, err := reach.NewProber(c.config, namespace)
	if err != nil {
		return reach.Result{Outcome: reach.Unknown, Reason: "not known: " + err.Error()}
	}
	return p.Probe(ctx)
}

// outside says whether the webhook is called by a URL: it has no Deployment then.
func (f *facts) outside() bool {
	if f.mutating == nil {
		return false
	}
	for _, w := range f.mutating.Webhooks {
		if w.ClientConfig.URL != nil {
			return true
		}
	}
	return false
}

func (f *facts) certManager() bool {
	return f.mutating != nil && f.mutating.Annotations["cert-manager.io/inject-ca-from"] != ""
}
