package certmanager_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/debugsidecar/debugsidecar/test/certmanager"
	"github.com/debugsidecar/debugsidecar/test/cluster"
)

const chain = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: selfsigned}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: ca}
spec:
  secretName: ca
  isCA: true
  commonName: ca
  privateKey: {algorithm: ECDSA, rotationPolicy: Never}
  issuerRef: {name: selfsigned}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: ca}
spec: {ca: {secretName: ca}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: leaf}
spec:
  secretName: leaf
  dnsNames: [leaf.example]
  privateKey: {algorithm: ECDSA, rotationPolicy: Always}
  issuerRef: {name: ca}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: leaf
  annotations: {cert-manager.io/inject-ca-from: default/leaf}
webhooks:
- name: leaf.example.org
  clientConfig: {url: "https://leaf.example/"}
  admissionReviewVersions: [v1]
  sideEffects: None
`

func TestCertificatesAreIssuedAndRenewed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes and cert-manager; run without -short")
	}
	ctx := t.Context()
	c, err := cluster.Start(ctx, cluster.Options{Log: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	m, err := certmanager.Start(ctx, c, func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Kubectl(ctx, chain, "apply", "--namespace=default", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Kubectl(ctx, "", "wait", "--namespace=default", "--for=condition=Ready", "--timeout=60s", "certificate/ca", "certificate/leaf"); err != nil {
		t.Fatal(err)
	}
	ca, leaf := inSecret(t, client, "ca", "tls.crt"), inSecret(t, client, "leaf", "tls.crt")
	if err := leaf.CheckSignatureFrom(ca); err != nil {
		t.Errorf("the CA did not sign the leaf: %v", err)
	}

	bundle := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
	if _, _, err := c.Kubectl(ctx, "", "wait", "--for=jsonpath={.webhooks[0].clientConfig.caBundle}="+bundle, "--timeout=30s", "mutatingwebhookconfiguration/leaf"); err != nil {
		t.Errorf("the CA was not injected: %v", err)
	}

	for _, name := range []string{"leaf", "ca"} {
		if err := m.Renew(ctx, "default", name); err != nil {
			t.Fatal(err)
		}
	}
	newCA, newLeaf := inSecret(t, client, "ca", "tls.crt"), inSecret(t, client, "leaf", "tls.crt")
	if newLeaf.SerialNumber.Cmp(leaf.SerialNumber) == 0 || bytes.Equal(newLeaf.RawSubjectPublicKeyInfo, leaf.RawSubjectPublicKeyInfo) {
		t.Error("the renewed leaf is the old one, or has its key")
	}
	if newCA.SerialNumber.Cmp(ca.SerialNumber) == 0 {
		t.Error("the renewed CA is the old one")
	}
	if err := newLeaf.CheckSignatureFrom(newCA); err != nil {
		t.Errorf("the renewed CA has another key: %v", err)
	}

	if err := m.Renew(ctx, "default", "none"); err == nil {
		t.Error("a Certificate that doesn't exist was renewed")
	}
}

// inSecret returns the first certificate under a key of a Secret in the default
// namespace.
func inSecret(t *testing.T, client kubernetes.Interface, secret, key string) *x509.Certificate {
	t.Helper()
	s, err := client.CoreV1().Secrets("default").Get(t.Context(), secret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(s.Data[key])
	if block == nil {
		t.Fatalf("no certificate under %s in Secret %s", key, secret)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
