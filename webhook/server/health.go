package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/debugsidecar/debugsidecar/webhook/cert"
	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

// health serves /healthz and /readyz for kubelets, and /reachable for everybody
// else. It is not the manager's own server, because there each part that
// /readyz names can make the webhook unready, and whether the network lets API
// servers through must not.
type health struct {
	ready func(*http.Request) error
	// problem says what is wrong with the newest configuration.
	problem func() string
	// probes is nil if none are made.
	probes *reach.Loop
}

func (o *options) serveHealth(mgr ctrl.Manager, h *health) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("/readyz", h.readyz)
	mux.HandleFunc("/reachable", h.reachable)
	shutdown := time.Second
	err := mgr.Add(&manager.Server{
		Name: "health",
		Server: &http.Server{
			Addr: o.healthListen, Handler: mux,
			ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 90 * time.Second, MaxHeaderBytes: 1 << 14,
		},
		ShutdownTimeout: &shutdown,
	})
	if err != nil {
		return fmt.Errorf("setting up /readyz: %w", err)
	}
	return nil
}

// readyz answers as Kubernetes' own components do; its last parts are named and
// never count. That a configuration is broken is told unasked.
func (h *health) readyz(w http.ResponseWriter, r *http.Request) {
	err := h.ready(r)
	code, serving, sum := http.StatusOK, "[+]serving ok", "readyz check passed"
	if err != nil {
		code, serving, sum = http.StatusInternalServerError, "[-]serving failed: "+err.Error(), "readyz check failed"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	configuration, broken := h.configuration()
	if _, verbose := r.URL.Query()["verbose"]; err == nil && !verbose && !broken {
		fmt.Fprint(w, "ok")
		return
	}
	fmt.Fprintf(w, "%s\n%s\n%s\n%s\n", serving, configuration, h.reach(), sum)
}

func (h *health) reach() string {
	if h.probes == nil {
		return "[ ]reachable unknown: no self-probes are made (--self-probe-interval)"
	}
	switch last, _ := h.probes.Last(); last.Outcome {
	case reach.Reached:
		return "[+]reachable ok"
	case reach.Unknown:
		return "[ ]reachable unknown: " + last.String()
	default:
		return "[-]reachable failed, which does not make the webhook unready: " + last.String()
	}
}

func (h *health) reachable(w http.ResponseWriter, r *http.Request) {
	if h.probes == nil {
		http.Error(w, "no self-probes are made: see --self-probe-interval", http.StatusNotFound)
		return
	}
	h.probes.ServeHTTP(w, r)
}

// servingCheck says whether the webhook can answer a review.
func servingCheck(mgr ctrl.Manager, source cert.Source, stopping *atomic.Bool) func(*http.Request) error {
	serving := mgr.GetWebhookServer().StartedChecker()
	return func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		switch {
		case stopping.Load():
			return errors.New("stopping")
		case !source.Healthy():
			return errors.New("there is no serving certificate yet")
		case !mgr.GetCache().WaitForCacheSync(ctx):
			return errors.New("the caches are not filled yet")
		}
		return serving(r)
	}
}
