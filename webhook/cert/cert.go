// Package cert is where the serving certificate comes from: from ourselves (the
// default) or from files that somebody else keeps up to date, cert-manager for
// example.
package cert

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Source provides the certificate of a TLS server.
type Source interface {
	// GetCertificate fits tls.Config. It fails until there is a certificate.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Start keeps the certificate up to date until ctx ends.
	Start(ctx context.Context) error
	// Healthy says whether there is a certificate to serve with.
	Healthy() bool
	// NeedLeaderElection is false: each replica has its own.
	NeedLeaderElection() bool
}

// Files reads tls.crt and tls.key of a directory, and again when they change.
type Files struct {
	*certwatcher.CertWatcher
}

// NewFiles fails if the directory does not hold a certificate and its key.
func NewFiles(dir string) (*Files, error) {
	w, err := certwatcher.New(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificate in %s: %w", dir, err)
	}
	return &Files{w}, nil
}

// Healthy is true: there is a certificate from the beginning, and a broken
// update does not replace it.
func (f *Files) Healthy() bool { return true }
