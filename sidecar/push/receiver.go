package push

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// The kinds of receivers.
const (
	// Alertmanager takes alerts by its API v2.
	Alertmanager = "alertmanager"
	// Webhook takes a JSON array of alerts, each as /api/v1/alerts has it.
	Webhook = "webhook"
	// WebhookLines takes the same as one JSON object a line.
	WebhookLines = "webhook-lines"
)

// Receiver is where alerts go. It comes from the administrator alone.
type Receiver struct {
	// Name is what logs and metrics call it: by default the URL's host.
	Name string `json:"name,omitempty"`
	// Kind is alertmanager (the default), webhook or webhook-lines.
	Kind string `json:"kind,omitempty"`
	// URL is Alertmanager's base URL, or the webhook's whole URL. No log and no
	// metric shows more of it than its host.
	URL string `json:"url"`
	// TokenFile holds a bearer token. It is read anew for each request, so it may
	// be replaced at any time.
	TokenFile string `json:"tokenFile,omitempty"`
	// CAFile holds the certificates to trust, instead of the system's.
	CAFile string `json:"caFile,omitempty"`
	// CertFile and KeyFile are what we show.
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	// ServerName is the name that the certificate must have, if not the URL's.
	ServerName string `json:"serverName,omitempty"`
	// Proxy is a proxy's URL. The environment's is not used: a pod's application
	// may have set it for itself.
	Proxy string `json:"proxy,omitempty"`
	// Timeout is for one request, in seconds: 5 by default.
	Timeout float64 `json:"timeoutSeconds,omitempty"`
}

// ReadReceivers reads a YAML or JSON file with the list of receivers.
func ReadReceivers(path string) ([]Receiver, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("receivers: %w", err)
	}
	var list []Receiver
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, nil
	}
	if err := yaml.UnmarshalStrict(b, &list); err != nil {
		return nil, fmt.Errorf("receivers in %s: %w", path, err)
	}
	return list, nil
}

// complete checks a receiver and fills in defaults. No error shows the URL.
func (r *Receiver) complete() error {
	if r.Kind == "" {
		r.Kind = Alertmanager
	}
	if r.Timeout == 0 {
		r.Timeout = 5
	}
	u, err := url.Parse(r.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("url: must be http or https, with a host")
	case r.Kind != Alertmanager && r.Kind != Webhook && r.Kind != WebhookLines:
		return fmt.Errorf("kind %q: must be %s, %s or %s", r.Kind, Alertmanager, Webhook, WebhookLines)
	case (r.CertFile == "") != (r.KeyFile == ""):
		return errors.New("certFile and keyFile: one is of no use without the other")
	case r.Timeout < 0 || r.Timeout > 60:
		return errors.New("timeoutSeconds: must be from 0 to 60")
	case u.Scheme == "http" && (r.CAFile != "" || r.CertFile != "" || r.ServerName != ""):
		return errors.New("caFile, certFile and serverName: the url is not https")
	}
	if r.Kind == Alertmanager {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/api/v2/alerts"
	}
	r.URL = u.String()
	if r.Name == "" {
		r.Name = u.Host
	}
	return nil
}

// client returns a client of its own for the receiver. It follows no redirect,
// which could take the token elsewhere.
func (r *Receiver) client() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.ServerName}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile %s: there is no certificate in it", r.CAFile)
		}
	}
	if r.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile); err != nil {
			return nil, fmt.Errorf("certFile: %w", err)
		}
		// Read for each connection: they are renewed.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
			return &pair, err
		}
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 3 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxConnsPerHost:     2,
		IdleConnTimeout:     5 * time.Minute, // a connection that is there saves the first alert its set-up
		DisableCompression:  true,
	}
	if r.Proxy != "" {
		proxy, err := url.Parse(r.Proxy)
		if err != nil || proxy.Host == "" {
			return nil, errors.New("proxy: must be a URL with a host")
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	return &http.Client{
		Transport:     transport,
		Timeout:       time.Duration(r.Timeout * float64(time.Second)),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// authorize puts the token into the request.
func (r *Receiver) authorize(req *http.Request) error {
	if r.TokenFile == "" {
		return nil
	}
	token, err := os.ReadFile(r.TokenFile)
	if err != nil {
		return fmt.Errorf("tokenFile: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	return nil
}
