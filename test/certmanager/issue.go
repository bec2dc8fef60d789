package certmanager

import (
	"context"
	"fmt"
	"time"

	apiutil "github.com/cert-manager/cert-manager/pkg/api/util"
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/debugsidecar/debugsidecar/test/cluster"
)

// Renew has a Certificate issued again, in the way that cmctl renew does, and
// returns when its Secret holds the new one.
func (m *Manager) Renew(ctx context.Context, namespace, certificate string) error {
	begin := time.Now()
	certificates := m.client.CertmanagerV1().Certificates(namespace)
	var before int
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		c, err := certificates.Get(ctx, certificate, metav1.GetOptions{})
		if err != nil {
			return err
		}
		before = revision(c)
		apiutil.SetCertificateCondition(c, c.Generation, cmapi.CertificateConditionIssuing, cmmeta.ConditionTrue,
			"ManuallyTriggered", "a test wants it to be renewed")
		_, err = certificates.UpdateStatus(ctx, c, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("asking for a renewal of the Certificate %s/%s: %w", namespace, certificate, err)
	}
	if err := m.waitFor(ctx, namespace, certificate, before+1); err != nil {
		return err
	}
	m.log(fmt.Sprintf("Certificate %s: renewed in %.2f s", certificate, time.Since(begin).Seconds()))
	return nil
}

// waitFor waits until a Certificate is Ready and was issued so many times.
func (m *Manager) waitFor(ctx context.Context, namespace, certificate string, times int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := m.client.CertmanagerV1().Certificates(namespace).Get(ctx, certificate, metav1.GetOptions{})
		if err == nil && revision(c) >= times && holds(c, cmapi.CertificateConditionReady) && !holds(c, cmapi.CertificateConditionIssuing) {
			return nil
		}
		select {
		case <-m.process.running.Done():
			return context.Cause(m.process.running)
		case <-ctx.Done():
			return fmt.Errorf("the Certificate %s/%s was not issued within %s (%w): revision %d of %d, conditions %v, %v",
				namespace, certificate, patience, context.Cause(ctx), revision(c), times, c.Status.Conditions, err)
		case <-tick.C:
		}
	}
}

// revision is how many times a Certificate was issued.
func revision(c *cmapi.Certificate) int {
	if c.Status.Revision == nil {
		return 0
	}
	return *c.Status.Revision
}

func holds(c *cmapi.Certificate, condition cmapi.CertificateConditionType) bool {
	return apiutil.CertificateHasCondition(c, cmapi.CertificateCondition{Type: condition, Status: cmmeta.ConditionTrue})
}

// tryOut has a certificate issued in a namespace of its own, and returns how long
// it took. The namespace then goes.
func (m *Manager) tryOut(ctx context.Context, c *cluster.Cluster) (time.Duration, error) {
	const namespace, name = "cert-manager-try", "try"
	if _, _, err := c.Kubectl(ctx, "", "create", "namespace", namespace); err != nil {
		return 0, err
	}
	issuer := &cmapi.Issuer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       cmapi.IssuerSpec{IssuerConfig: cmapi.IssuerConfig{SelfSigned: &cmapi.SelfSignedIssuer{}}},
	}
	if _, err := m.client.CertmanagerV1().Issuers(namespace).Create(ctx, issuer, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	begin := time.Now()
	certificate := &cmapi.Certificate{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: cmapi.CertificateSpec{
			SecretName: name,
			CommonName: name,
			PrivateKey: &cmapi.CertificatePrivateKey{Algorithm: cmapi.ECDSAKeyAlgorithm, Size: 256},
			IssuerRef:  cmmeta.IssuerReference{Name: name, Kind: cmapi.IssuerKind, Group: "cert-manager.io"},
		},
	}
	if _, err := m.client.CertmanagerV1().Certificates(namespace).Create(ctx, certificate, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	if err := m.waitFor(ctx, namespace, name, 1); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	_, _, err := c.Kubectl(ctx, "", "delete", "namespace", namespace, "--wait=false")
	return took, err
}
