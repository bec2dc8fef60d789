package certmanager_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/test/node"
)

// untilServed waits until each webhook pod serves the certificate that is in the
// Secret now, and returns its serial number.
func (l lab) untilServed(t *testing.T) string {
	t.Helper()
	begin := time.Now()
	pods, want := 0, (*x509.Certificate)(nil)
	err := l.Until(t.Context(), "each webhook pod serves the Secret's certificate", func(ctx context.Context) error {
		// Each time anew: cert-manager was seen to issue once more by itself.
		block, _ := pem.Decode(l.secret(t, leaf, "tls.crt"))
		if block == nil {
			return errors.New("no certificate in the Secret")
		}
		var err error
		if want, err = x509.ParseCertificate(block.Bytes); err != nil {
			return err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(l.secret(t, leaf, "ca.crt")) {
			return errors.New("no CA in the Secret")
		}
		addresses, err := l.endpoints(ctx)
		if err != nil {
			return err
		}
		pods = len(addresses)
		for _, address := range addresses {
			served, err := l.handshake(ctx, address, roots)
			if err != nil {
				return err
			}
			if !served.Equal(want) {
				return fmt.Errorf("%s serves the certificate %x, not %x", address, served.SerialNumber, want.SerialNumber)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	serial := want.SerialNumber.Text(16)
	t.Logf("%d pods serve certificate %s after %.2f s", pods, serial, time.Since(begin).Seconds())
	return serial
}

// endpoints returns host and port of each webhook pod that is ready.
func (l lab) endpoints(ctx context.Context) ([]string, error) {
	slices, err := l.client.DiscoveryV1().EndpointSlices(node.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + node.Release})
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready != nil && *e.Conditions.Ready {
				addresses = append(addresses, net.JoinHostPort(e.Addresses[0], fmt.Sprint(*s.Ports[0].Port)))
			}
		}
	}
	if len(addresses) < 2 {
		return nil, fmt.Errorf("the Service leads to %q, and two pods are wanted", addresses)
	}
	return addresses, nil
}

// handshake returns the certificate that is served at an address, if the CAs
// vouch for it under the Service's name.
func (l lab) handshake(ctx context.Context, address string, roots *x509.CertPool) (*x509.Certificate, error) {
	conn, err := l.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	session := tls.Client(conn, &tls.Config{ServerName: serverName, RootCAs: roots})
	if err := session.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	peers := session.ConnectionState().PeerCertificates
	if len(peers) == 0 {
		return nil, errors.New("no certificate was served")
	}
	return peers[0], nil
}
