package serve

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/status"
)

const (
	// answerTimeout is how long an answer may take to be sent.
	answerTimeout = 10 * time.Second
	// longestProfile bounds what pprof is asked for.
	longestProfile = 60 * time.Second
	// startTimeout is how long /healthz waits for the first status.
	startTimeout = time.Minute
)

// podHandler serves what the cluster asks for.
func (s *Server) podHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	return hardened(within(answerTimeout, noBody(mux)))
}

// localHandler serves what takes the token.
func (s *Server) localHandler(a *access) http.Handler {
	mux := http.NewServeMux()
	quick := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, within(answerTimeout, h)) }
	quick("GET /{$}", newPage(s.opts.Pictures != nil).ServeHTTP)
	quick("GET /api/v1/status", s.status)
	quick("GET /api/v1/history", s.plot)
	quick("GET /api/v1/marks", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, r, s.marks.since(s.now().Add(-historySeconds*time.Second)))
	})
	mux.Handle("GET /api/v1/alerts", s.events)
	mux.Handle("GET /live.mjpg", s.live)
	for name, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": gone, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.Handle("GET /debug/pprof/"+name, within(longestProfile+answerTimeout, bounded(h)))
	}
	return hardened(a.wrap(mux, s.metrics.refuse))
}

// gone keeps pprof from showing the command line, where a source may stand.
func gone(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "the command line is not shown", http.StatusNotFound)
}

// bounded refuses profiles that take too long.
func bounded(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("seconds"); text != "" {
			if n, err := strconv.ParseFloat(text, 64); err != nil || n > longestProfile.Seconds() {
				http.Error(w, fmt.Sprintf("seconds must be a number up to %.0f", longestProfile.Seconds()), http.StatusBadRequest)
				return
			}
		}
		next(w, r)
	})
}

// hardened sets what holds for every answer.
func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r)
	})
}

// within ends the connection of a client that does not take its answer.
func within(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
		next.ServeHTTP(w, r)
	})
}

func noBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			http.Error(w, "no request here has a body", http.StatusRequestEntityTooLarge)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// healthz tells whether the probe still samples. Trouble of the streams is no
// trouble of the probe.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	age := time.Since(s.started) - time.Duration(s.published.Load())
	limit := s.opts.AliveWithin
	if s.current.Load() == nil {
		limit = max(limit, startTimeout)
	}
	if age > limit {
		http.Error(w, fmt.Sprintf("not sampling: the last status is %.0f s old", age.Seconds()), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// readyz tells whether the probe works. Degraded and Recovering are ready: it
// does less, and a sidecar that is not ready would take its pod out of service.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	state, why := "Initializing", "no status yet"
	if st := s.current.Load(); st != nil {
		state, why = st.State, st.Why
	}
	text := strings.ToLower(state)
	if why != "" {
		text += ": " + why
	}
	switch state {
	case "Ready", "Degraded", "Recovering":
		_, _ = io.WriteString(w, text+"\n")
	default:
		http.Error(w, text, http.StatusServiceUnavailable)
	}
}

// status answers with the status, the worst streams first; ?limit=N leaves out
// those after the first N.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	st := s.current.Load()
	if st == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "no status yet", http.StatusServiceUnavailable)
		return
	}
	limit := len(st.Streams)
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			http.Error(w, "limit must be a number", http.StatusBadRequest)
			return
		}
		limit = min(limit, int(n))
	}
	answer := struct {
		status.Status
		Streams      []status.Stream `json:"streams"`
		TotalStreams int             `json:"totalStreams"`
	}{*st, worstFirst(st.Streams)[:limit], len(st.Streams)}
	writeJSON(w, r, answer)
}

func (s *Server) plot(w http.ResponseWriter, r *http.Request) {
	p := s.history.plot(r.URL.Query().Get("stream"))
	p.Alerts, p.LastEventID = s.events.since(p.End.Add(-historySeconds * time.Second))
	writeJSON(w, r, p)
}

// now is the time of the status, which may be another clock's than ours.
func (s *Server) now() time.Time {
	if st := s.current.Load(); st != nil {
		return st.At
	}
	return time.Now()
}

// worstFirst returns the streams by health, then by the time to the stall, then
// by name.
func worstFirst(streams []status.Stream) []status.Stream {
	sorted := append([]status.Stream{}, streams...)
	rank := map[string]int{}
	for i, word := range healths {
		rank[string(word)] = i
	}
	eta := func(s *status.Stream) float64 {
		soonest := 1e9
		for _, f := range s.Verdict.Forecasts {
			soonest = min(soonest, f.ETA.Or(1e9))
		}
		return soonest
	}
	sort.SliceStable(sorted, func(i, j int) bool {
		a, b := &sorted[i], &sorted[j]
		if x, y := rank[string(a.Verdict.Health)], rank[string(b.Verdict.Health)]; x != y {
			return x > y
		}
		if x, y := eta(a), eta(b); x != y {
			return x < y
		}
		return a.Name < b.Name
	})
	return sorted
}

// writeJSON sends v, compressed if the client takes that: hundreds of streams
// go through a port-forward.
func writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "a figure is no number: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Vary", "Accept-Encoding")
	if len(b) > 4096 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
		_, _ = z.Write(b)
		_ = z.Close()
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b)
}
