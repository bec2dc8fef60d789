package audit

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

const (
	// QPS is how many requests a second an audit sends at most.
	QPS = 5
	// Page is how many pods one request asks for.
	Page = 250
)

// Client reads pods and keeps reports, slowly. Its rate is its own: whoever else
// talks to the API server does not wait for an audit.
type Client struct{ rest rest.Interface }

// NewClient connects with somebody's rights.
func NewClient(config *rest.Config) (*Client, error) { return newClient(config, QPS) }

func newClient(config *rest.Config, qps float32) (*Client, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst, config.RateLimiter = qps, QPS, nil
	// Lists are read as a stream, and only JSON can be.
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.WarningHandler = rest.NoWarnings{}
	config.UserAgent = rest.DefaultKubernetesUserAgent() + " audit"
	c, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	return &Client{c}, nil
}
