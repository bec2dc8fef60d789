package admit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// known answers as a filled cache does. A nil one is a cache miss that nobody
// helps with.
type known struct{ ns *inject.Namespace }

func (k known) Namespace(_ context.Context, name string) inject.Namespace {
	if k.ns == nil {
		return inject.Namespace{Name: name, Unknown: true}
	}
	return *k.ns
}

func (k known) Labels(context.Context, string) (map[string]string, bool) {
	if k.ns == nil {
		return nil, false
	}
	return k.ns.Labels, true
}

func newDeps(t testing.TB, ns *inject.Namespace) Deps {
	t.Helper()
	snapshot, err := config.Load(config.Paths{})
	if err != nil {
		t.Fatal(err)
	}
	evaluator, err := policies.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return Deps{
		Config:         func() *config.Snapshot { return snapshot },
		Recent:         func() []*config.Snapshot { return []*config.Snapshot{snapshot} },
		Namespaces:     known{ns},
		Policies:       evaluator,
		NativeSidecars: true,
		OwnNamespace:   "debugsidecar-system",
		Metrics:        NewMetrics(prometheus.NewRegistry()),
		Log:            slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func enforcing(level string) *inject.Namespace {
	return &inject.Namespace{Name: "cameras", Labels: map[string]string{"policy.debugsidecar.io/enforce": level}}
}

func send(h http.Handler, method, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/?timeout=2s", strings.NewReader(body)))
	return w
}

func answered(t *testing.T, w *httptest.ResponseRecorder) *admissionv1.AdmissionResponse {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil {
		t.Fatal(err)
	}
	if review.Response == nil || review.Response.UID != "u" || review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview" {
		t.Fatalf("not an answer to the request: %s", w.Body)
	}
	return review.Response
}

const (
	head    = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","namespace":"cameras","operation":"CREATE","resource":{"group":"","version":"v1","resource":"pods"},`
	plain   = `"spec":{"containers":[{"name":"app","image":"i:1"}]}`
	wanting = head + `"object":{"metadata":{"name":"p","labels":{"debugsidecar.io/inject":"video-probe"}},` + plain + `}}}`
	greedy  = head + `"object":{"metadata":{"name":"p"},"spec":{"containers":[{"name":"app","image":"i:1","securityContext":{"privileged":true}}]}}}}`
)

func TestABadRequestGetsAClearAnswer(t *testing.T) {
	h := Mutate(newDeps(t, enforcing("off")))
	for name, c := range map[string]struct {
		method, body string
		code         int
		says         string
	}{
		"wrong method":    {http.MethodGet, "", http.StatusMethodNotAllowed, "POST"},
		"nothing":         {http.MethodPost, "", http.StatusBadRequest, "not an AdmissionReview"},
		"no JSON":         {http.MethodPost, "hello", http.StatusBadRequest, "not an AdmissionReview"},
		"half of it":      {http.MethodPost, wanting[:len(wanting)/2], http.StatusBadRequest, "not an AdmissionReview"},
		"another kind":    {http.MethodPost, `{"apiVersion":"v1","kind":"Pod"}`, http.StatusBadRequest, `"Pod"`},
		"an old version":  {http.MethodPost, `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}`, http.StatusBadRequest, "admission.k8s.io/v1"},
		"no request":      {http.MethodPost, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, http.StatusBadRequest, "no request"},
		"wrong types":     {http.MethodPost, strings.Replace(wanting, `"name":"app"`, `"name":7`, 1), http.StatusBadRequest, "not an AdmissionReview"},
		"a bad quantity":  {http.MethodPost, strings.Replace(wanting, `"image":"i:1"`, `"resources":{"limits":{"cpu":"many"}}`, 1), http.StatusBadRequest, "quantities"},
		"far too much":    {http.MethodPost, strings.Repeat(" ", maxBody+1), http.StatusRequestEntityTooLarge, "too large"},
		"deeply nested":   {http.MethodPost, strings.Repeat("[", 100_000), http.StatusBadRequest, "not an AdmissionReview"},
		"null everywhere": {http.MethodPost, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`, http.StatusBadRequest, "no request"},
	} {
		t.Run(name, func(t *testing.T) {
			w := send(h, c.method, c.body)
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("got %d %q, want %d with %q", w.Code, w.Body, c.code, c.says)
			}
		})
	}
}

func TestABodyWithoutALengthIsBoundedToo(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/mutate", io.MultiReader(strings.NewReader(strings.Repeat(" ", maxBody)), strings.NewReader("  ")))
	r.ContentLength = -1
	w := httptest.NewRecorder()
	Mutate(newDeps(t, enforcing("off"))).ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestAPanicIsCountedAndTheNextRequestServed(t *testing.T) {
	deps := newDeps(t, enforcing("off"))
	calls := 0
	h := &handler{path: "/x", decode: decode[judgedContainer, judgedVolume], metrics: deps.Metrics, log: deps.Log, judge: func(context.Context, *request) (response, error) {
		if calls++; calls == 1 {
			panic("a bug")
		}
		return allow(), nil
	}}
	if w := send(h, http.MethodPost, wanting); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "a bug") {
		t.Errorf("got %d %s, want 500 without the inside", w.Code, w.Body)
	}
	if n := testutil.ToFloat64(deps.Metrics.panics); n != 1 {
		t.Errorf("%v panics were counted", n)
	}
	if !answered(t, send(h, http.MethodPost, wanting)).Allowed {
		t.Error("the next request was not served")
	}
}

func TestTheAPIServersDeadlineIsHonoured(t *testing.T) {
	deps := newDeps(t, enforcing("off"))
	var deadline time.Time
	h := &handler{path: "/x", decode: decode[judgedContainer, judgedVolume], metrics: deps.Metrics, log: deps.Log, judge: func(ctx context.Context, _ *request) (response, error) {
		deadline, _ = ctx.Deadline()
		return response{}, errors.New("too late")
	}}
	before := time.Now()
	if w := send(h, http.MethodPost, wanting); w.Code != http.StatusInternalServerError {
		t.Errorf("got %d", w.Code)
	}
	if deadline.Before(before.Add(time.Second)) || deadline.After(time.Now().Add(2*time.Second)) {
		t.Errorf("asked for an answer within 2 s, it has to be there within %v", deadline.Sub(before))
	}
}

func TestWhatIsInFlightWhenTheServerStopsIsAnswered(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/validate", strings.NewReader(greedy))
	ctx, stop := context.WithCancel(r.Context())
	stop() // controller-runtime ends the context of each request with its server's
	w := httptest.NewRecorder()
	Validate(newDeps(t, enforcing("baseline"))).ServeHTTP(w, r.WithContext(ctx))
	if answered(t, w).Allowed {
		t.Error("it was not judged")
	}
}

func FuzzAnyBodyIsAnswered(f *testing.F) {
	for _, seed := range []string{"", "{}", wanting, greedy, head + `"object":null}}`} {
		f.Add([]byte(seed))
	}
	deps := newDeps(f, enforcing("restricted"))
	deps.Pods = pods{&corev1.Pod{}}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, h := range []http.Handler{Mutate(deps), Validate(deps), Connect(deps)} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
			if w.Code >= http.StatusInternalServerError {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
		}
	})
}
