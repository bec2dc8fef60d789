package reach

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Loop probes regularly, on each replica. What it finds never makes a replica
// unready: a Service leads to ready pods alone, so that with none of them ready
// the probe could never come back, and where the network is to blame there would
// be no pod left to answer once it works again.
type Loop struct {
	// Every is the time between probes.
	Every time.Duration
	Probe func(context.Context) Result
	// Changed is told of an outcome that differs from the one before, for an
	// Event; not of a first one that is good.
	Changed func(Result)
	Log     *slog.Logger

	last    atomic.Pointer[Result]
	metrics *metrics
}

// first is how long after the start the first probe is made: by then the replica
// is ready and the API server has seen that.
const first = 5 * time.Second

// NeedLeaderElection is false: each replica has its own way to the API server,
// and its own answer at /reachable.
func (l *Loop) NeedLeaderElection() bool { return false }

// Start probes until ctx ends.
func (l *Loop) Start(ctx context.Context) error {
	wait := min(first, l.Every)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = l.Every
		result := l.Probe(ctx)
		if ctx.Err() != nil {
			return nil
		}
		l.take(result)
	}
}

func (l *Loop) take(result Result) {
	before := l.last.Swap(&result)
	if l.metrics != nil {
		l.metrics.count(result.Outcome)
	}
	if before != nil && before.Outcome == result.Outcome {
		return
	}
	if result.Outcome == Reached {
		l.Log.Info("the API server reaches the webhook", "pod", result.Pod)
		if before == nil {
			return
		}
	} else {
		l.Log.Warn("the self-probe through the API server failed", "outcome", result.Outcome, "reason", result.Reason, "fix", result.Fix)
	}
	if l.Changed != nil {
		l.Changed(result)
	}
}

// Last returns the last result; false before the first.
func (l *Loop) Last() (Result, bool) {
	r := l.last.Load()
	if r == nil {
		return Result{Outcome: Unknown, Reason: "the first self-probe was not made yet"}, false
	}
	return *r, true
}

// ServeHTTP is /reachable: 200 if the API server reaches the webhook, else 503,
// and a sentence. It is for people and monitoring, never for a kubelet.
func (l *Loop) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r, _ := l.Last()
	code := http.StatusOK
	if r.Outcome != Reached {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, r)
}

// Register makes the loop's metrics.
func (l *Loop) Register(r prometheus.Registerer) {
	l.metrics = &metrics{
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debugsidecar_webhook_self_probes_total",
			Help: "Self-probes through the API server, by outcome: reached, unreachable, not-asked (no entry for it) or unknown.",
		}, []string{"outcome"}),
		reachable: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "debugsidecar_webhook_reachable",
			Help: "1 if the API server reached the webhook at the last self-probe, 0 if not. Absent while that is not known.",
		}, nil),
	}
	r.MustRegister(l.metrics.probes, l.metrics.reachable)
}

type metrics struct {
	probes    *prometheus.CounterVec
	reachable *prometheus.GaugeVec
}

func (m *metrics) count(o Outcome) {
	m.probes.WithLabelValues(string(o)).Inc()
	switch o {
	case Reached:
		m.reachable.WithLabelValues().Set(1)
	case Unreachable:
		m.reachable.WithLabelValues().Set(0)
	default:
		m.reachable.Reset()
	}
}
