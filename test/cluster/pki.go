package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity of all certificates; a test cluster doesn't renew them.
const validity = 365 * 24 * time.Hour

// pki makes the keys and certificates of one cluster and writes them to dir,
// named as kubeadm names them. The authorities are separate ones, for a client
// of the API server must not be one of etcd, nor speak for others as the
// aggregator does (https://kubernetes.io/docs/setup/best-practices/certificates/).
type pki struct{ dir string }

// authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// path returns the file with a certificate (".crt") or a key (".key").
func (p pki) path(file string) string { return filepath.Join(p.dir, file) }

// writeAll makes everything that the control plane needs. The API server is
// reached at the addresses.
func (p pki) writeAll(addresses ...net.IP) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	cluster, err := p.authority("ca")
	if err != nil {
		return err
	}
	etcd, err := p.authority("etcd-ca")
	if err != nil {
		return err
	}
	frontProxy, err := p.authority("front-proxy-ca")
	if err != nil {
		return err
	}
	server := certificate{
		name:      "kube-apiserver",
		dns:       []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		addresses: addresses,
	}
	for _, c := range []struct {
		by   authority
		file string
		certificate
	}{
		{etcd, "etcd", certificate{name: "etcd", addresses: []net.IP{net.ParseIP(address)}, client: true}},
		{etcd, "apiserver-etcd-client", certificate{name: "kube-apiserver", client: true}},
		{cluster, "apiserver", server},
		{frontProxy, "front-proxy-client", certificate{name: "front-proxy-client", client: true}},
		{cluster, "admin", certificate{name: "kubernetes-admin", groups: []string{"system:masters"}, client: true}},
		{cluster, string(ControllerManager), certificate{name: "system:kube-controller-manager", client: true}},
		{cluster, string(Scheduler), certificate{name: "system:kube-scheduler", client: true}},
		{cluster, kubeProxy, certificate{name: "system:kube-proxy", client: true}},
		{cluster, "apiserver-kubelet-client", certificate{name: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}, client: true}},
		{cluster, kubelet, certificate{
			name: "system:node:" + NodeName, groups: []string{"system:nodes"}, client: true,
			dns: []string{NodeName}, addresses: []net.IP{net.ParseIP(nodeAddress)},
		}},
	} {
		if err := p.issue(c.by, c.file, c.certificate); err != nil {
			return err
		}
	}
	return p.serviceAccountKey()
}

// authority makes a new one, and its files.
func (p pki) authority(file string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: file},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, err
	}
	return authority{key, cert}, p.write(file, der, key)
}

// certificate is what one says about its owner.
type certificate struct {
	name      string   // the user, for Kubernetes
	groups    []string // of the user
	dns       []string
	addresses []net.IP // with dns: where it serves
	client    bool     // whether it may be used as a client
}

// issue writes a new key, and the certificate for it.
func (p pki) issue(by authority, file string, c certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: c.name, Organization: c.groups},
		NotBefore:    by.cert.NotBefore,
		NotAfter:     by.cert.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		DNSNames:     c.dns,
		IPAddresses:  c.addresses,
	}
	if len(c.dns)+len(c.addresses) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if c.client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", c.name, err)
	}
	return p.write(file, der, key)
}

// serviceAccountKey makes the pair of keys that service account tokens are
// signed and verified with.
func (p pki) serviceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := p.writePEM("sa.pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	return p.writeKey("sa.key", key)
}

func (p pki) write(file string, cert []byte, key crypto.PrivateKey) error {
	if err := p.writePEM(file+".crt", "CERTIFICATE", cert); err != nil {
		return err
	}
	return p.writeKey(file+".key", key)
}

func (p pki) writeKey(file string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return p.writePEM(file, "PRIVATE KEY", der)
}

func (p pki) writePEM(file, kind string, der []byte) error {
	return os.WriteFile(p.path(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
