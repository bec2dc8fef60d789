package certmanager_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/test/certmanager"
	"github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/test/node"
)

// Names that the chart gives its objects.
const (
	leaf       = node.Release + "-tls" // Certificate and Secret
	ca         = node.Release + "-ca"
	caSecret   = node.Release + "-issuer"
	serverName = node.Release + "." + node.Namespace + ".svc"
)

// lab is a node with the chart and cert-manager.
type lab struct {
	*node.Node
	manager *certmanager.Manager
	client  kubernetes.Interface
}

func start(t *testing.T) lab {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes with a node; run without -short")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	log := func(line string) { t.Log(line) }
	var l lab
	t.Cleanup(func() {
		if l.manager == nil {
			return
		}
		if err := l.manager.Stop(); err != nil {
			t.Error(err)
		}
	})
	l.Node, err = node.Start(t.Context(), node.Options{
		Root: root, Dir: t.TempDir(), Log: log,
		Values: "certificates: {mode: cert-manager}\n",
		Prepare: func(ctx context.Context, c *cluster.Cluster) (err error) {
			l.manager, err = certmanager.Start(ctx, c, log)
			return err
		},
	})
	if errors.Is(err, cluster.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, args := range [][]string{
				{"get", "pods,certificates,certificaterequests,events", "--namespace", node.Namespace, "-o", "wide"},
				{"logs", "--namespace", node.Namespace, "deployment/" + node.Release, "--all-pods"},
			} {
				out, _, err := l.Kubectl(context.Background(), "", args...)
				t.Log(out, err)
			}
		}
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	config := rest.CopyConfig(l.Config)
	config.WarningHandler = rest.NoWarnings{}
	if l.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNoRequestFailsWhileCertManagerRenews(t *testing.T) {
	l := start(t)
	first := l.secret(t, caSecret, "tls.crt")
	l.untilInjected(t, first)
	serial := l.untilServed(t)

	load := l.startLoad(t)
	load.untilMet(t, serial)
	for range 3 {
		l.renew(t, leaf)
		load.untilMet(t, l.untilServed(t))
	}

	// The API server still trusts the old CA, which has the same key.
	l.renew(t, ca)
	second := l.secret(t, caSecret, "tls.crt")
	if bytes.Equal(first, second) {
		t.Error("the renewed CA is the old one")
	}
	// A leaf of the new CA brings it to the configurations.
	l.renew(t, leaf)
	l.untilInjected(t, second)
	load.untilMet(t, l.untilServed(t))
	// The API server drops its connections, and trusts what it finds then.
	l.restart(t)
	load.end(t)
}

// renew renews a Certificate, and fails if its Secret keeps its certificate.
func (l lab) renew(t *testing.T, certificate string) {
	t.Helper()
	secret := certificate
	if certificate == ca {
		secret = caSecret
	}
	before := l.secret(t, secret, "tls.crt")
	if err := l.manager.Renew(t.Context(), node.Namespace, certificate); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(before, l.secret(t, secret, "tls.crt")) {
		t.Errorf("Secret %s has the certificate from before its renewal", secret)
	}
}

// restart replaces the webhook's pods one by one.
func (l lab) restart(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"restart"}, {"status", "--timeout=60s"}} {
		args = append([]string{"--namespace", node.Namespace, "rollout", args[0], "deployment/" + node.Release}, args[1:]...)
		if _, _, err := l.Kubectl(t.Context(), "", args...); err != nil {
			t.Fatal(err)
		}
	}
	l.untilServed(t)
}

// untilInjected waits until every entry of both configurations trusts the CA. The
// injector leaves in what it replaces, until that expires.
func (l lab) untilInjected(t *testing.T, ca []byte) {
	t.Helper()
	begin := time.Now()
	err := l.Until(t.Context(), "the CA is in the configurations", func(ctx context.Context) error {
		bundles, err := l.bundles(ctx)
		if err != nil {
			return err
		}
		for entry, bundle := range bundles {
			if !bytes.Contains(bundle, bytes.TrimSpace(ca)) {
				return fmt.Errorf("%s does not trust it:\n%s", entry, bundle)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the CA is injected after %.2f s", time.Since(begin).Seconds())
}

// bundles returns the caBundle of each entry of the webhook configurations.
func (l lab) bundles(ctx context.Context) (map[string][]byte, error) {
	bundles := map[string][]byte{}
	m, err := l.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, node.Release, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for _, w := range m.Webhooks {
		bundles["mutating "+w.Name] = w.ClientConfig.CABundle
	}
	v, err := l.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, node.Release, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for _, w := range v.Webhooks {
		bundles["validating "+w.Name] = w.ClientConfig.CABundle
	}
	if len(m.Webhooks) == 0 || len(v.Webhooks) == 0 {
		return nil, errors.New("a configuration has no entry")
	}
	return bundles, nil
}

// secret returns what a Secret of the release has under a key.
func (l lab) secret(t *testing.T, name, key string) []byte {
	t.Helper()
	s, err := l.client.CoreV1().Secrets(node.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Data[key]) == 0 {
		t.Fatalf("Secret %s has no %s", name, key)
	}
	return s.Data[key]
}
