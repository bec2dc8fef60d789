package cert

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	servertls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/prometheus/client_golang/prometheus"
)

// expiries returns the metric's values: none or one.
func expiries(t *testing.T, s Source) (at []time.Time) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	RegisterExpiry(r, s)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "debugsidecar_webhook_certificate_expiry_timestamp_seconds" {
			t.Errorf("a metric %s", f.GetName())
		}
		for _, m := range f.GetMetric() {
			at = append(at, time.Unix(int64(m.GetGauge().GetValue()), 0))
		}
	}
	return at
}

// writePair writes a certificate that ends at the given time as cert-manager's
// Secret is mounted.
func writePair(t *testing.T, dir string, end time.Time) {
	t.Helper()
	data, err := mustCA(t, end.Add(-time.Hour), time.Hour).data()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range data {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheMetricTellsTheEndOfTheFilesCertificateAlsoOfARenewedOne(t *testing.T) {
	dir, first := t.TempDir(), time.Now().Add(time.Hour).Truncate(time.Second)
	writePair(t, dir, first)
	s, err := NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := expiries(t, s); len(got) != 1 || !got[0].Equal(first) {
		t.Errorf("%v, want %v", got, first)
	}
	second := first.Add(30 * time.Minute)
	writePair(t, dir, second)
	if err := s.ReadCertificate(); err != nil {
		t.Fatal(err)
	}
	if got := expiries(t, s); len(got) != 1 || !got[0].Equal(second) {
		t.Errorf("after a renewal %v, want %v", got, second)
	}
}

func TestTheMetricIsAbsentUntilASelfManagedCertificateIsThere(t *testing.T) {
	s := &signer{now: time.Now, lifetime: time.Hour}
	source := selfManaged{&servertls.DynamicSource{DNSNames: []string{"webhook.example"}, Authority: s, RetryInterval: time.Millisecond}}
	if got := expiries(t, source); len(got) != 0 {
		t.Errorf("%v, and there is no certificate", got)
	}
	s.use(mustCA(t, time.Now(), 24*time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- source.Start(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var served *tls.Certificate
	for deadline := time.Now().Add(time.Minute); served == nil; time.Sleep(time.Millisecond) {
		if served, _ = source.GetCertificate(nil); time.Now().After(deadline) {
			t.Fatal("no certificate")
		}
	}
	if got := expiries(t, source); len(got) != 1 || !got[0].Equal(served.Leaf.NotAfter) {
		t.Errorf("%v, want %v", got, served.Leaf.NotAfter)
	}
}
