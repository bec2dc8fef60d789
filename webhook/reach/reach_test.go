package reach

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/client-go/rest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// apiServer answers a creation as an API server does, with the handler asked or
// not.
func apiServer(t *testing.T, asks bool, failure string) *rest.Config {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("dryRun") != "All" {
			t.Errorf("%s is no dry run", r.URL)
		}
		body, _ := io.ReadAll(r.Body)
		if failure != "" {
			w.WriteHeader(http.StatusInternalServerError)
			json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500, "reason": "InternalError", "message": failure})
			return
		}
		if asks {
			review := `{"request":{"uid":"u1","object":` + string(body) + `}}`
			answer := httptest.NewRecorder()
			Handler("webhook-7").ServeHTTP(answer, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(review)))
			var got admissionv1.AdmissionReview
			if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || got.Response.UID != "u1" || !got.Response.Allowed {
				t.Errorf("the handler answered %s (%v)", answer.Body, err)
			}
			for _, text := range got.Response.Warnings {
				w.Header().Add("Warning", `299 - "`+text+`"`)
			}
		}
		w.WriteHeader(http.StatusCreated)
		w.Write(body)
	}))
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

func probe(t *testing.T, config *rest.Config) Result {
	t.Helper()
	p, err := NewProber(config, "system")
	if err != nil {
		t.Fatal(err)
	}
	return p.Probe(t.Context())
}

func TestAProbeNamesWhoAnswered(t *testing.T) {
	if got := probe(t, apiServer(t, true, "")); got.Outcome != Reached || got.Pod != "webhook-7" || got.Fix != "" {
		t.Errorf("got %+v", got)
	}
}

func TestACreationThatNobodyAnsweredIsNotTakenForReached(t *testing.T) {
	if got := probe(t, apiServer(t, false, "")); got.Outcome != NotAsked || got.Fix == "" {
		t.Errorf("got %+v", got)
	}
}

func TestAnAnswerToAnotherProbeIsNone(t *testing.T) {
	if _, found := parse([]string{warning("other", "webhook-1")}, "mine"); found {
		t.Error("the warning with another nonce was taken")
	}
}

func TestAFailureSaysWhyAndTheWayOut(t *testing.T) {
	const called = `Internal error occurred: failed calling webhook "self-probe.debugsidecar.io": failed to call webhook: Post "https://debugsidecar.system.svc:443/self-probe?timeout=2s": `
	tests := map[string]struct {
		said, why, fix string
		outcome        Outcome
	}{
		"firewall drops":  {called + "context deadline exceeded", "firewall", "9443", Unreachable},
		"firewall denies": {called + "dial tcp 10.0.0.4:9443: connect: no route to host", "no route", "9443", Unreachable},
		"nobody listens":  {called + "dial tcp 10.0.0.4:9443: connect: connection refused", "nothing listens", "pods", Unreachable},
		"no pod is ready": {called + `no endpoints available for service "debugsidecar"`, "no pod of the webhook is ready", "Deployment", Unreachable},
		"no service":      {called + `service "debugsidecar" not found`, "Service is not there", "helm upgrade", Unreachable},
		"foreign CA":      {called + "tls: failed to verify certificate: x509: certificate signed by unknown authority", "does not trust", "caBundle", Unreachable},
		"expired":         {called + "tls: failed to verify certificate: x509: certificate has expired or is not yet valid", "expired", "renewed", Unreachable},
		"other words":     {called + "something new", "something new", "log", Unreachable},
		"another webhook": {`Internal error occurred: failed calling webhook "gatekeeper.example": context deadline exceeded`, "not known", "API server", Unknown},
		"other failure":   {"etcdserver: request timed out", "not known", "API server", Unknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := probe(t, apiServer(t, false, test.said))
			if got.Outcome != test.outcome || !strings.Contains(got.Reason, test.why) || !strings.Contains(got.Fix, test.fix) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAnOutcomeIsToldWhenItChangesAndCountedAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outcomes := []Outcome{Reached, Reached, Unreachable, Unreachable, Unknown, Reached}
		var told []Outcome
		registry := prometheus.NewRegistry()
		next := 0
		ctx, cancel := context.WithCancel(t.Context())
		l := &Loop{
			Every: time.Minute, Log: slog.New(slog.DiscardHandler),
			Probe: func(context.Context) Result {
				o := outcomes[min(next, len(outcomes)-1)]
				next++
				return Result{Outcome: o, Reason: string(o)}
			},
			Changed: func(r Result) { told = append(told, r.Outcome) },
		}
		l.Register(registry)
		if r, made := l.Last(); made || r.Outcome != Unknown {
			t.Errorf("before the first probe: %+v", r)
		}
		ended := make(chan error)
		go func() { ended <- l.Start(ctx) }()
		gauge := func() float64 {
			n, err := testutil.GatherAndCount(registry, "debugsidecar_webhook_reachable")
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return -1
			}
			return testutil.ToFloat64(l.metrics.reachable)
		}
		time.Sleep(first + time.Second)
		var gauges []float64
		for range outcomes {
			synctest.Wait()
			gauges = append(gauges, gauge())
			time.Sleep(time.Minute)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if want := []Outcome{Unreachable, Unknown, Reached}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if want := []float64{1, 1, 0, 0, -1, 1}; !slices.Equal(gauges, want) {
			t.Errorf("the gauge was %v, want %v (-1 is absent)", gauges, want)
		}
		if got := testutil.ToFloat64(l.metrics.probes.WithLabelValues("unreachable")); got != 2 {
			t.Errorf("%v probes were counted as unreachable", got)
		}
	})
}

func TestReachableIsAnHTTPStatus(t *testing.T) {
	l := &Loop{Log: slog.New(slog.DiscardHandler)}
	for outcome, want := range map[Outcome]int{Reached: 200, Unreachable: 503, NotAsked: 503, Unknown: 503} {
		l.take(Result{Outcome: outcome, Reason: "why", Fix: "way out"})
		w := httptest.NewRecorder()
		l.ServeHTTP(w, nil)
		if w.Code != want || !strings.Contains(w.Body.String(), "why; way out") {
			t.Errorf("%s: %d %q", outcome, w.Code, w.Body)
		}
	}
}

func TestAForeignBodyIsRefused(t *testing.T) {
	w := httptest.NewRecorder()
	Handler("x").ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader("no JSON")))
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d", w.Code)
	}
}

func TestWhatIsNotTheWebhooksFaultIsUnknown(t *testing.T) {
	if got := explain(errors.New("some"), "system"); got.Outcome != Unknown {
		t.Errorf("got %+v", got)
	}
}
