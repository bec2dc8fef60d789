package monitoring

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/audit"
	"github.com/debugsidecar/debugsidecar/webhook/cert"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/missed"
	"github.com/debugsidecar/debugsidecar/webhook/reach"
	"github.com/debugsidecar/debugsidecar/webhook/rollout"
	"github.com/debugsidecar/debugsidecar/webhook/session/keeper"
	"github.com/debugsidecar/debugsidecar/webhook/trust"
)

// recorder keeps what is registered.
type recorder struct {
	prometheus.Registerer
	collectors []prometheus.Collector
}

func (r *recorder) MustRegister(c ...prometheus.Collector) {
	r.collectors = append(r.collectors, c...)
}

// webhook returns the collectors that the webhook registers.
func webhook(t *testing.T) []prometheus.Collector {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("images: {sidecar: a, debug: b}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := config.NewStore(config.Paths{Config: file}, slog.New(slog.DiscardHandler), func(*config.Snapshot) {})
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	admit.NewMetrics(r)
	(&reach.Loop{}).Register(r)
	(&missed.Counter{}).Register(r)
	cert.RegisterExpiry(r, served{})
	(&rollout.Leader{}).Register(r)
	(&keeper.Keeper{}).Register(r)
	store.Register(r)
	trust.New("", r, slog.New(slog.DiscardHandler))
	audited(t, r, store.Current)
	return r.collectors
}

// served is a source that has a certificate.
type served struct{ cert.Source }

func (served) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &tls.Certificate{Leaf: &x509.Certificate{NotAfter: time.Unix(1767225600, 0)}}, nil
}

// oneNamespace is a cluster with one, that asks for a level.
type oneNamespace struct{ client.Reader }

func (oneNamespace) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*corev1.NamespaceList).Items = []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{
		Name: "cameras", Labels: map[string]string{policies.EnforceLabel: string(policies.Baseline)},
	}}}
	return nil
}

// audited registers the audit's metrics once an audit has found something: before
// that they have no values.
func audited(t *testing.T, r *recorder, current func() *config.Snapshot) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/pods") {
			io.WriteString(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"ingest","uid":"u"}}]}`) //nolint:errcheck // the test sees it
			return
		}
		io.WriteString(w, `{"kind":"ValidatingWebhookConfiguration","apiVersion":"admissionregistration.k8s.io/v1","webhooks":[{"name":"pods","rules":[{"operations":["CREATE"],"resources":["pods"]}]}]}`) //nolint:errcheck // the test sees it
	}))
	defer api.Close()
	c, err := audit.NewClient(&rest.Config{Host: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	a := &audit.Auditor{
		Every: time.Hour, Client: c, Namespaces: oneNamespace{}, Config: current, Log: slog.New(slog.DiscardHandler),
		Judge: func(context.Context, string, []byte) (admit.Running, error) {
			return admit.Running{Name: "ingest", Violations: []policies.Violation{{Rule: "privileged", Level: policies.Baseline, Action: policies.Deny}}}, nil
		},
	}
	before := len(r.collectors)
	a.Register(r)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Start(ctx) }()
	deadline := time.Now().Add(10 * time.Second)
	for len(collected(r.collectors[before])) == 0 {
		if time.Now().After(deadline) {
			t.Error("the audit has found nothing in 10s")
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func collected(c prometheus.Collector) []prometheus.Metric {
	ch := make(chan prometheus.Metric)
	go func() {
		defer close(ch)
		c.Collect(ch)
	}()
	var all []prometheus.Metric
	for m := range ch {
		all = append(all, m)
	}
	return all
}

// metric is what a collector says of one.
type metric struct {
	kind, help string
	labels     []string
}

var desc = regexp.MustCompile(`^Desc\{fqName: ("[^"]+"), help: ("(?:[^"\\]|\\.)*"), .*variableLabels: \{([^}]*)\}\}$`)

// described returns the metrics of all collectors of the webhook by name.
func described(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	for _, c := range webhook(t) {
		for name, m := range describe(t, c) {
			if _, twice := all[name]; twice {
				t.Errorf("%s is registered twice", name)
			}
			if m.kind == "" {
				t.Errorf("the type of %s is not known", name)
			}
			all[name] = m
		}
	}
	return all
}

// describe reads what a collector describes. The type is that of its values, or
// of the collector if it has none yet; empty if neither tells.
func describe(t *testing.T, c prometheus.Collector) map[string]metric {
	t.Helper()
	kinds := map[string]string{}
	for _, m := range collected(c) {
		var value dto.Metric
		if err := m.Write(&value); err != nil {
			t.Fatal(err)
		}
		kinds[m.Desc().String()] = kindOf(&value)
	}
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		c.Describe(ch)
	}()
	found := map[string]metric{}
	for d := range ch {
		parts := desc.FindStringSubmatch(d.String())
		if parts == nil {
			t.Errorf("can't read %s", d)
			continue
		}
		m := metric{kind: kinds[d.String()], labels: strings.FieldsFunc(parts[3], func(r rune) bool { return r == ',' })}
		name, err := strconv.Unquote(parts[1])
		if err == nil {
			m.help, err = strconv.Unquote(parts[2])
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.kind == "" {
			m.kind = vectors[fmt.Sprintf("%T", c)]
		}
		found[name] = m
	}
	return found
}

var vectors = map[string]string{
	"*prometheus.CounterVec": "counter", "*prometheus.GaugeVec": "gauge", "*prometheus.HistogramVec": "histogram", "*prometheus.SummaryVec": "summary",
}

func kindOf(m *dto.Metric) string {
	switch {
	case m.Counter != nil:
		return "counter"
	case m.Gauge != nil:
		return "gauge"
	case m.Histogram != nil:
		return "histogram"
	case m.Summary != nil:
		return "summary"
	}
	return ""
}

// An alert about a state that the audit does not tell would be silent for ever.
func TestRulesNameStatesThatTheAuditTells(t *testing.T) {
	var states []string
	for _, c := range webhook(t) {
		for _, m := range collected(c) {
			var value dto.Metric
			if err := m.Write(&value); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(m.Desc().String(), `"debugsidecar_audit_namespaces"`) {
				states = append(states, value.GetLabel()[0].GetValue())
			}
		}
	}
	asked := regexp.MustCompile(`debugsidecar_audit_namespaces\{[^}]*state="([^"]*)"`)
	found := 0
	for _, r := range alerts(t, everything) {
		for _, m := range asked.FindAllStringSubmatch(r.Expr.String(), -1) {
			if found++; !slices.Contains(states, m[1]) {
				t.Errorf("%s asks for the state %q; there are %v", r.Alert, m[1], states)
			}
		}
	}
	if found == 0 {
		t.Error("no rule asks for a state of audits")
	}
}
