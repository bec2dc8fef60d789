// Package admit takes AdmissionReviews in and gives their answers out. What it
// answers is decided in the packages inject and policies.
package admit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// Where API servers send what.
const (
	mutatePath   = "/mutate"
	validatePath = "/validate"
	connectPath  = "/connect"
)

const (
	// maxBody is above what an API server can send: etcd's limit of 1.5 MiB for
	// the old and the new object, as JSON.
	maxBody = 8 << 20
	// defaultTimeout is what an API server waits where it does not say so (10 s
	// in admissionregistration.k8s.io/v1).
	defaultTimeout = 10 * time.Second
)

// judge answers a review. An error is our own failure: the API server then does
// what failurePolicy says.
type judge func(ctx context.Context, r *request) (response, error)

// handler serves one path.
type handler struct {
	path    string
	decode  func(body []byte) (*request, error)
	judge   judge
	metrics *Metrics
	log     *slog.Logger
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	code := http.StatusInternalServerError
	defer func() {
		if p := recover(); p != nil {
			h.metrics.panics.Inc()
			h.log.Error("a review made the webhook panic", "path", h.path, "panic", p, "stack", string(debug.Stack()))
			http.Error(w, "debugsidecar: internal error; see the webhook's log", code)
		}
		h.metrics.observe(h.path, code, time.Since(start))
	}()
	code = h.serve(w, r)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) int {
	fail := func(code int, err error) int {
		h.log.Warn("a request was not answered", "path", h.path, "code", code, "err", err)
		http.Error(w, "debugsidecar: "+err.Error(), code)
		return code
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return fail(http.StatusMethodNotAllowed, fmt.Errorf("%s takes POST only", h.path))
	}
	body, err := read(w, r)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return fail(http.StatusRequestEntityTooLarge, err)
		}
		return fail(http.StatusBadRequest, fmt.Errorf("reading the body: %w", err))
	}
	req, err := h.decode(body)
	if err != nil {
		return fail(http.StatusBadRequest, err)
	}
	// The server's context ends when the webhook is told to stop, and what is in
	// flight is to be answered still.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), timeout(r))
	defer cancel()
	resp, err := h.judge(ctx, req)
	if err != nil {
		return fail(http.StatusInternalServerError, err)
	}
	resp.UID = req.UID
	data, err := json.Marshal(answer{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview", Response: resp})
	if err != nil {
		return fail(http.StatusInternalServerError, fmt.Errorf("encoding the answer: %w", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(data) //nolint:errcheck // whoever asked has gone
	return http.StatusOK
}

// read reads the body in one go where its length is known.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body := http.MaxBytesReader(w, r.Body, maxBody)
	if r.ContentLength <= 0 || r.ContentLength > maxBody {
		return io.ReadAll(body)
	}
	data := make([]byte, r.ContentLength)
	_, err := io.ReadFull(body, data)
	return data, err
}

// timeout is how long the API server waits: it says so in the query.
func timeout(r *http.Request) time.Duration {
	if d, err := time.ParseDuration(r.URL.Query().Get("timeout")); err == nil && d > 0 {
		return min(d, 30*time.Second)
	}
	return defaultTimeout
}
