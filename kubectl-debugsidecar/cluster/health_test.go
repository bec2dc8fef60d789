package cluster

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

// A pod may answer with a redirect, which the API server passes on: the client that
// followed it would take the user's credentials along. And it may answer with more
// than fits into memory.
func TestASidecarGetsNoCredentialsAndNoMemory(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with Authorization %q", r.Header.Get("Authorization"))
	}))
	defer thief.Close()
	var sent atomic.Int64
	for name, answer := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, http.StatusFound) },
		"flood": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			for chunk := []byte(strings.Repeat("a", 1<<20)); sent.Load() < 256<<20; {
				n, err := w.Write(chunk)
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		},
	} {
		server := httptest.NewServer(answer)
		defer server.Close()
		c, err := newClient(&rest.Config{Host: server.URL, BearerToken: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		if word, why := c.ask(t.Context(), &row{Namespace: "cameras", Pod: "ingest", port: 9400}); word != "" || len(why) > 1000 {
			t.Errorf("%s: %q, %.100s", name, word, why)
		}
	}
	if n := sent.Load(); n > 32<<20 {
		t.Errorf("%d MiB of a refusal were read", n>>20)
	}
}
