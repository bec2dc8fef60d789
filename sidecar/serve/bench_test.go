package serve

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// quiet takes an answer and keeps nothing of it.
type quiet struct {
	header http.Header
	bytes  int
}

func (q *quiet) Header() http.Header         { return q.header }
func (q *quiet) WriteHeader(int)             {}
func (q *quiet) Write(p []byte) (int, error) { q.bytes += len(p); return len(p), nil }

// A scrape, and the status for the page, with as many streams as metrics name.
func BenchmarkAnswers(b *testing.B) {
	for _, path := range []string{"/metrics", "/api/v1/status?limit=500", "/api/v1/history"} {
		for _, n := range []int{1, 2000} {
			b.Run(fmt.Sprintf("%s/%d", path, n), func(b *testing.B) {
				s := unbound(b, Options{})
				play(s, time.Now(), n)
				handler, r := s.handlers[1], request(path, nil)
				if path == "/metrics" {
					handler, r = s.handlers[0], httptest.NewRequest(http.MethodGet, path, nil)
				}
				b.ReportAllocs()
				b.ResetTimer()
				var w quiet
				for range b.N {
					w = quiet{header: http.Header{}}
					handler.ServeHTTP(&w, r)
				}
				b.ReportMetric(float64(w.bytes), "answer-bytes")
			})
		}
	}
}

// What publishing costs the sampling loop, ten times a second.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 1200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := unbound(b, Options{})
			st := scripted(time.Now(), n, 1.3, .05)
			b.ReportAllocs()
			for range b.N {
				next := *st
				next.At = st.At.Add(100 * time.Millisecond)
				st = &next
				s.Publish(st)
			}
		})
	}
}

// From an alert to the last of 32 clients that listen.
func BenchmarkAlertToListeners(b *testing.B) {
	s := unbound(b, Options{})
	server := httptest.NewServer(s.events)
	defer server.Close()
	heard := make(chan struct{}, maxListeners)
	for range maxListeners {
		answer, err := http.Get(server.URL)
		if err != nil {
			b.Fatal(err)
		}
		defer answer.Body.Close()
		go func() {
			for {
				if _, kinds := readEvents(answer.Body, 1); len(kinds) == 0 {
					return
				}
				heard <- struct{}{}
			}
		}()
	}
	a := scriptedAlert(time.Now(), warn.Degraded, 0, sample.Figure{})
	b.ResetTimer()
	for range b.N {
		s.Alert(a)
		for range maxListeners {
			<-heard
		}
	}
}
