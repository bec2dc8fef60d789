package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/debugsidecar/debugsidecar/webhook/reach"
)

// probed returns a loop that made one probe.
func probed(t *testing.T, outcome reach.Outcome) *reach.Loop {
	t.Helper()
	l := &reach.Loop{
		Every: time.Minute, Log: slog.New(slog.DiscardHandler),
		Probe: func(context.Context) reach.Result { return reach.Result{Outcome: outcome, Reason: "because"} },
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := l.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestABrokenConfigurationIsToldUnasked(t *testing.T) {
	problem := "a.rego:1: wrong\nb.rego:2: wrong"
	h := &health{ready: func(*http.Request) error { return nil }, problem: func() string { return problem }}
	ask := func() (int, string) {
		w := httptest.NewRecorder()
		h.readyz(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code, w.Body.String()
	}
	want := "[-]configuration failed, which does not make the webhook unready: the newest is not in force: a.rego:1: wrong; b.rego:2: wrong\n"
	if code, body := ask(); code != http.StatusOK || !strings.Contains(body, want) {
		t.Errorf("got %d %q, want %q", code, body, want)
	}
	problem = ""
	if code, body := ask(); code != http.StatusOK || body != "ok" {
		t.Errorf("got %d %q once it is mended", code, body)
	}
}

func TestAnUnreachableWebhookStaysReadyAndSaysSo(t *testing.T) {
	tests := []struct {
		name    string
		ready   error
		probes  *reach.Loop
		code    int
		verbose string
	}{
		{"all is well", nil, probed(t, reach.Reached), 200, "[+]reachable ok"},
		{"unreachable", nil, probed(t, reach.Unreachable), 200, "[-]reachable failed, which does not make the webhook unready: because"},
		{"not known", nil, probed(t, reach.Unknown), 200, "[ ]reachable unknown"},
		{"off", nil, nil, 200, "[ ]reachable unknown: no self-probes"},
		{"unready but reachable", errors.New("stopping"), probed(t, reach.Reached), 500, "[-]serving failed: stopping"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := &health{ready: func(*http.Request) error { return test.ready }, probes: test.probes}
			for _, path := range []string{"/readyz", "/readyz?verbose"} {
				w := httptest.NewRecorder()
				h.readyz(w, httptest.NewRequest(http.MethodGet, path, nil))
				if w.Code != test.code {
					t.Errorf("%s: status %d, want %d", path, w.Code, test.code)
				}
				if strings.HasSuffix(path, "verbose") && !strings.Contains(w.Body.String(), test.verbose) {
					t.Errorf("%s: %q lacks %q", path, w.Body, test.verbose)
				}
			}
		})
	}
}
