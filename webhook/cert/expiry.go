package cert

import "github.com/prometheus/client_golang/prometheus"

var expiryDesc = prometheus.NewDesc("debugsidecar_webhook_certificate_expiry_timestamp_seconds",
	"When the serving certificate ends. Absent while there is none.", nil, nil)

// RegisterExpiry makes a metric of when the certificate that the source serves
// with ends. It is read at each scrape, so it is the one in use, whoever renews it.
func RegisterExpiry(r prometheus.Registerer, s Source) { r.MustRegister(expiry{s}) }

type expiry struct{ source Source }

func (expiry) Describe(ch chan<- *prometheus.Desc) { ch <- expiryDesc }

func (e expiry) Collect(ch chan<- prometheus.Metric) {
	// Both sources have read their certificate by tls.X509KeyPair, which sets Leaf.
	c, err := e.source.GetCertificate(nil)
	if err != nil || c == nil || c.Leaf == nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(c.Leaf.NotAfter.Unix()))
}
