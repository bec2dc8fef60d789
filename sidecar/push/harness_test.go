package push

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

func stream(n int) sample.Stream {
	return sample.Stream{
		Src: netip.MustParseAddrPort("10.31.0.10:40000"), Dst: netip.AddrPortFrom(netip.MustParseAddr("10.20.0.7"), uint16(5004+2*n)), SSRC: 7,
	}
}

func raised(at time.Time, n int, kind warn.Kind, buffer time.Duration) warn.Alert {
	a := warn.Alert{At: at, Stream: stream(n), Kind: kind, Buffer: buffer, Cause: warn.Network}
	if kind == warn.StallPredicted {
		a.ETA = sample.Of(1.8)
	}
	return a
}

// receiver keeps what it is sent, and answers as it is told.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	bodies   []string
	headers  []http.Header
	statuses []int         // of the next answers; then 200
	hang     chan struct{} // answers wait for it, if set
}

// dead is where nobody listens, and no other test's server will.
const dead = "http://127.0.0.1:1"

func newReceiver(t testing.TB) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	hang := r.hang
	r.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-req.Context().Done():
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	status := http.StatusOK
	if len(r.statuses) > 0 {
		status, r.statuses = r.statuses[0], r.statuses[1:]
	}
	if status < 300 {
		r.bodies, r.headers = append(r.bodies, string(body)), append(r.headers, req.Header)
	}
	w.WriteHeader(status)
}

// lines are the kinds of the alerts that a webhook got, in their order.
func (r *receiver) kinds(t testing.TB) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, body := range r.bodies {
		var list []struct{ Kind string }
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		for _, a := range list {
			all = append(all, a.Kind)
		}
	}
	return all
}

func (r *receiver) posted(t testing.TB) []postable {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []postable
	for _, body := range r.bodies {
		var list []postable
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		all = append(all, list...)
	}
	return all
}

// running runs a pusher until the test ends, or stop is called.
func running(t testing.TB, opts Options) (p *Pusher, stop func()) {
	t.Helper()
	p, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { p.Run(ctx) })
	stop = func() { cancel(); all.Wait() }
	t.Cleanup(stop)
	return p, stop
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never true: %s", what)
		}
	}
}

func (p *Pusher) outcome(receiver, outcome string) float64 {
	m := &dto.Metric{}
	if err := p.metrics.alerts.WithLabelValues(receiver, outcome).Write(m); err != nil {
		panic(err)
	}
	return m.GetCounter().GetValue()
}

// attemptsOf are the codes of the requests to a receiver.
func (m *metrics) attemptsOf(t testing.TB, receiver string) map[string]float64 {
	t.Helper()
	ch := make(chan prometheus.Metric, 1000)
	m.attempts.Collect(ch)
	close(ch)
	all := map[string]float64{}
	for metric := range ch {
		var out dto.Metric
		if err := metric.Write(&out); err != nil {
			t.Fatal(err)
		}
		labels := map[string]string{}
		for _, l := range out.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["receiver"] == receiver {
			all[labels["code"]] = out.GetCounter().GetValue()
		}
	}
	return all
}

func (m *metrics) latencyCount(t testing.TB, receiver string) uint64 {
	t.Helper()
	var out dto.Metric
	if err := m.latency.WithLabelValues(receiver).(prometheus.Histogram).Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetHistogram().GetSampleCount()
}
