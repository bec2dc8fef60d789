package ask

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/live/probes"
)

// question asks a pod whose answer an API server would pass on.
func question(t *testing.T, answer http.HandlerFunc) (Answer, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := "/api/v1/namespaces/cameras/pods/ingest:9400/proxy/metrics"; r.URL.Path != want {
			t.Errorf("asked for %s, not %s", r.URL.Path, want)
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	c, err := New(&rest.Config{Host: server.URL, BearerToken: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	return c.Ask(t.Context(), &probes.Probe{Namespace: "cameras", Pod: "ingest", Port: 9400})
}

func TestAProbeIsAsked(t *testing.T) {
	text, err := os.ReadFile("../reading/testdata/calm.txt")
	if err != nil {
		t.Fatal(err)
	}
	a, err := question(t, func(w http.ResponseWriter, _ *http.Request) {
		// Three seconds after the status was made, by the pod's own clock.
		w.Header().Set("Date", "Thu, 26 Nov 2026 16:45:01 GMT")
		w.Write(text) //nolint:errcheck // the reader sees it
	})
	if err != nil || a.Total != 2 || time.Since(a.Received) > time.Minute {
		t.Fatalf("%+v, %v", a, err)
	}
	if a.Stale < 2*time.Second || a.Stale > 4*time.Second {
		t.Errorf("the status of %s is %s old", a.At.UTC(), a.Stale)
	}
}

// A pod may answer with a redirect. The API server passes it on, and the client
// that followed it would take the user's credentials along.
func TestNoRedirectIsFollowed(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with Authorization %q", r.Header.Get("Authorization"))
	}))
	defer thief.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		_, err := question(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, code) })
		if err == nil || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func TestRefusalsAreToldAndBounded(t *testing.T) {
	status := `{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"reason":%q,"code":%d}`
	for name, c := range map[string]struct {
		code       int
		body, says string
	}{
		"forbidden":   {403, fmt.Sprintf(status, "pods is forbidden", "Forbidden", 403), "you may not get pods/proxy"},
		"unreachable": {503, fmt.Sprintf(status, "error trying to reach service: dial tcp 10.0.0.7:9400: connect: connection refused", "ServiceUnavailable", 503), "dial tcp 10.0.0.7:9400: connect: connection refused"},
		"text":        {500, "\x1b[2Jno", "[2Jno"},
		"empty":       {404, "", "it answers 404 Not Found"},
		"gigabytes":   {500, strings.Repeat("a", 64<<20), "aaa"},
		"throttled":   {429, "later", "later"},
	} {
		began := time.Now()
		_, err := question(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(c.code)
			w.Write([]byte(c.body)) //nolint:errcheck // the reader goes away
		})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 300 {
			t.Errorf("%s: %.300v", name, err)
		}
		if name == "forbidden" && !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
		if time.Since(began) > 2*time.Second {
			t.Errorf("%s: it took %s", name, time.Since(began))
		}
	}
}

func TestAProbeThatHangsOrTricklesIsGivenUp(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"trickles": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				fmt.Fprint(w, "# more\n")
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		},
	} {
		began := time.Now()
		_, err := question(t, answer)
		if took := time.Since(began); err == nil || took > Timeout+time.Second {
			t.Errorf("%s: %v after %s", name, err, took)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: not in words: %v", name, err)
		}
	}
}
