package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

const (
	maxBody     = 4 << 20  // bytes of one answer
	maxTraffic  = 16 << 20 // bytes of all answers to one question
	maxRequests = 80       // of one question, redirects included
)

// registry is one that may be asked, and how.
type registry struct {
	host      string
	hosts     []string
	plainHTTP bool
	transport *http.Transport
}

func newRegistry(s Registry) (*registry, error) {
	host := canonicalHost(s.Host)
	if _, err := name.NewRegistry(host, name.StrictValidation); err != nil || host == "" || strings.ContainsAny(host, "/*@") {
		return nil, fmt.Errorf("host: %q is no registry's host, such as registry.example or registry.example:5000", s.Host)
	}
	r := &registry{host: host, plainHTTP: s.PlainHTTP}
	for _, h := range s.Hosts {
		bare := strings.TrimPrefix(h, "*.")
		if _, err := name.NewRegistry(bare, name.StrictValidation); err != nil || bare == "" || strings.ContainsAny(bare, "/*@") {
			return nil, fmt.Errorf("hosts: %q is no host, such as auth.example or *.blobs.example", h)
		}
		r.hosts = append(r.hosts, strings.ToLower(h))
	}
	roots, err := certificates(s.CA)
	if err != nil {
		return nil, err
	}
	r.transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second, Control: refuseMetadata}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return r, nil
}

// certificates are the system's, and those of a CA bundle. Nil are the system's.
func certificates(bundle string) (*x509.CertPool, error) {
	if strings.TrimSpace(bundle) == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(bundle)) {
		return nil, errors.New("ca: has to be certificates as PEM")
	}
	return pool, nil
}

// metadata are addresses at which clouds give their credentials away, beside the
// link-local ones.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// refuseMetadata keeps a name that resolves to such an address from being dialled.
// Private addresses are not refused: registries have them.
func refuseMetadata(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("an address that is none: %w", err)
	}
	a := at.Addr().Unmap().WithZone("")
	if a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || slices.Contains(metadata, a) {
		return fmt.Errorf("%w: address %s is not asked", errForbidden, a)
	}
	return nil
}

var (
	errForbidden = errors.New("forbidden")
	errPlain     = errors.New("without TLS")
	errTooMuch   = errors.New("the answer is too large")
)

// permits says whether a URL may be asked.
func (r *registry) permits(u *url.URL) error {
	host := strings.TrimSuffix(strings.ToLower(u.Host), ":443")
	own := host == strings.TrimSuffix(r.host, ":443")
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !r.plainHTTP || !own):
		return fmt.Errorf("%w: %s may not be asked by %s", errPlain, host, u.Scheme)
	case u.User != nil:
		return fmt.Errorf("%w: %s with a user in its URL", errForbidden, host)
	case own || slices.ContainsFunc(r.hosts, func(pattern string) bool { return matchHost(pattern, host) }):
		return nil
	}
	return fmt.Errorf("%w: registry %s sends us on to %s, which is not in its hosts (imageTrust.registries)", errForbidden, r.host, host)
}

func matchHost(pattern, host string) bool {
	if domain, all := strings.CutPrefix(pattern, "*"); all {
		return strings.HasSuffix(host, domain) && len(host) > len(domain)
	}
	return pattern == host
}

// guard lets through what one question may ask, and bounds it.
type guard struct {
	registry *registry
	requests atomic.Int32
	traffic  atomic.Int64
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	err := g.registry.permits(req.URL)
	if err == nil && g.requests.Add(1) > maxRequests {
		err = fmt.Errorf("%w: more than %d requests for one image", errForbidden, maxRequests)
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	resp, err := g.registry.transport.RoundTrip(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // a transport's errors are told apart by their types
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: maxBody, guard: g}
	return resp, nil
}

// bounded ends with an error where an answer is too large, rather than early.
type bounded struct {
	io.ReadCloser
	left  int64
	guard *guard
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 || b.guard.traffic.Add(int64(n)) > maxTraffic {
		return 0, errTooMuch
	}
	return n, err
}
