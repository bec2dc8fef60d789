package cert

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	corev1 "k8s.io/api/core/v1"
)

// ca is a CA's certificate and its key.
type ca struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newCA makes a CA that is valid from now on.
func newCA(now time.Time, lifetime time.Duration) (*ca, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the CA's key: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "debugsidecar-ca"},
		NotBefore:             now,
		NotAfter:              now.Add(lifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the CA: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the CA: %w", err)
	}
	return &ca{certificate, key}, nil
}

// serialNumber is 128 random bits, more than the 64 that the CA/Browser Forum's
// baseline requirements ask for.
func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	return n, nil
}

// readCA reads a CA from its Secret. It returns nil if there is none that can be
// used.
func readCA(data map[string][]byte) *ca {
	pair, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil || !pair.Leaf.IsCA {
		return nil
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil
	}
	return &ca{pair.Leaf, key}
}

// data is the CA as in a Secret of the type kubernetes.io/tls.
func (c *ca) data() (map[string][]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the CA's key: %w", err)
	}
	return map[string][]byte{
		corev1.TLSCertKey:       trusted{c.certificate}.encode(),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, nil
}

// renewAt is when two thirds of the CA's life are over.
func (c *ca) renewAt() time.Time {
	life := c.certificate.NotAfter.Sub(c.certificate.NotBefore)
	return c.certificate.NotAfter.Add(-life / 3)
}

// signer signs serving certificates with the newest CA that API servers have
// had the time to trust. It is what cert-manager's certificate source asks
// (pkg/server/tls.Authority).
type signer struct {
	now         func() time.Time
	lifetime    time.Duration // of what it signs
	propagation time.Duration

	mu      sync.Mutex
	current *ca
	since   time.Time // when API servers were told of current
	used    bool      // it signed something, so there is something to fall back to
	watches []chan<- struct{}
}

// use makes the signer sign with the CA, of which API servers are told by now.
func (s *signer) use(c *ca) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.current.certificate.Equal(c.certificate) {
		return
	}
	s.current, s.since = c, s.now()
	for _, w := range s.watches {
		select {
		case w <- struct{}{}:
		default: // one is waiting there already
		}
	}
}

// Run waits for the end: the manager runs the reconciler that calls use.
func (s *signer) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// WatchRotation sends to ch when the CA changes.
func (s *signer) WatchRotation(ch chan<- struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = append(s.watches, ch)
}

// StopWatchingRotation ends what WatchRotation began.
func (s *signer) StopWatchingRotation(ch chan<- struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = slices.DeleteFunc(s.watches, func(w chan<- struct{}) bool { return w == ch })
}

// Sign fails with authority.ErrCertificateNotAvailable until API servers trust
// the CA; the source asks again, and goes on with the certificate that it has.
func (s *signer) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The first certificate waits for nothing: until then nobody relies on us.
	if s.current == nil || s.used && s.now().Sub(s.since) < s.propagation {
		return nil, authority.ErrCertificateNotAvailable
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	c := s.current.certificate
	template.SerialNumber = serial
	template.BasicConstraintsValid = true
	template.NotBefore = s.now().Add(-clockSkew)
	template.NotAfter = s.now().Add(s.lifetime)
	if template.NotAfter.After(c.NotAfter) {
		template.NotAfter = c.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c, template.PublicKey, s.current.key)
	if err != nil {
		return nil, fmt.Errorf("signing the serving certificate: %w", err)
	}
	s.used = true
	return x509.ParseCertificate(der)
}

// clockSkew is by how much an API server's clock may be behind ours.
const clockSkew = 5 * time.Minute
