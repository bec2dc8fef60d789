// Package trust says whose certificate a source may show. TLS is Go's here, and
// not the decoder's: ffmpeg verifies nothing unless it is told to, and what it
// says of a certificate that it refuses is an input/output error.
package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// maxCA is more than all of the system's authorities take, in bytes.
const maxCA = 1 << 20

// Trust is what a certificate is verified by. The zero value takes the system's
// authorities.
type Trust struct {
	roots    *x509.CertPool
	insecure bool
}

// New returns a trust in the authorities of a PEM file alone; without one, in the
// system's. Insecure verifies nothing.
func New(ca io.Reader, insecure bool) (Trust, error) {
	t := Trust{insecure: insecure}
	if ca == nil {
		return t, nil
	}
	pem, err := io.ReadAll(io.LimitReader(ca, maxCA+1))
	if err != nil {
		return Trust{}, fmt.Errorf("reading the CA of the source: %w", err)
	}
	if len(pem) > maxCA {
		return Trust{}, fmt.Errorf("the CA of the source has more than %d bytes", maxCA)
	}
	t.roots = x509.NewCertPool()
	if !t.roots.AppendCertsFromPEM(pem) {
		return Trust{}, errors.New("the CA of the source has no certificate: it is a PEM file")
	}
	return t, nil
}

// Config is for a connection to a host, whose name or address the certificate
// has to have; "" where the caller's library fills it in.
func (t Trust) Config(host string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: t.roots, InsecureSkipVerify: t.insecure}
}

// Explain says in a person's words what is wrong about TLS, and what to do; ok is
// false if it is something else.
func Explain(err error) (cause wire.Cause, why error, ok bool) {
	var refused *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &refused):
		err = refused.Err
		if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
			return wire.Refused, fmt.Errorf("the source's certificate is signed by nobody who is trusted here (%w): name its CA by --source-ca, or don't verify by --source-insecure", err), true
		}
		return wire.Refused, fmt.Errorf("the source's certificate is not valid (%w); --source-insecure does not verify it", err), true
	case errors.As(err, &header):
		return wire.Camera, errors.New("the source does not speak TLS: rtsp:// or http:// may be meant"), true
	case errors.As(err, &alert):
		return wire.Camera, fmt.Errorf("the source refuses TLS: %w", err), true
	}
	return wire.NoCause, nil, false
}
