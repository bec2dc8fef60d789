package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// hooks receives what Alertmanager and the pusher post.
type hooks struct {
	mu   sync.Mutex
	on   map[Way]bool
	at   map[Way]time.Time // when on last changed
	more chan struct{}
}

func newHooks() *hooks {
	return &hooks{on: map[Way]bool{}, at: map[Way]time.Time{}, more: make(chan struct{})}
}

func (h *hooks) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	now := time.Now()
	if r.URL.Path == "/direct" {
		var alerts []struct {
			Kind   warn.Kind
			Buffer *float64 `json:"buffer_s"`
		}
		if json.NewDecoder(r.Body).Decode(&alerts) != nil {
			return
		}
		for _, a := range alerts {
			if a.Buffer == nil { // degraded, or its end
				h.set(Direct, a.Kind != warn.Clear, now)
			}
		}
		return
	}
	var message struct {
		Alerts []struct {
			Status string
			Labels map[string]string
		}
	}
	if json.NewDecoder(r.Body).Decode(&message) != nil {
		return
	}
	for _, a := range message.Alerts {
		switch a.Labels["alertname"] {
		case badRule.Alert:
			h.set(Scraped, a.Status == "firing", now)
		case "VideoDegraded":
			h.set(Pushed, a.Status == "firing", now)
		}
	}
}

func (h *hooks) set(way Way, on bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.on[way] == on {
		return
	}
	h.on[way], h.at[way] = on, now
	close(h.more)
	h.more = make(chan struct{})
}

// wait waits until the way says on, and returns since when it does.
func (h *hooks) wait(ctx context.Context, way Way, on bool) (time.Time, error) {
	for {
		h.mu.Lock()
		is, at, more := h.on[way], h.at[way], h.more
		h.mu.Unlock()
		if is == on {
			return at, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s: no word of on=%v: %w", way, on, ctx.Err())
		}
	}
}

// serve listens on loopback until ctx ends, and returns the base URL.
func (h *hooks) serve(ctx context.Context, all *sync.WaitGroup) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	all.Go(func() { _ = server.Serve(l) })
	all.Go(func() { <-ctx.Done(); _ = server.Close() })
	return "http://" + l.Addr().String(), nil
}

// round waits until each way has told of what began then, lets it end, and waits
// until each has told of that.
func (h *hooks) round(ctx context.Context, began time.Time, end func()) (map[Way]time.Duration, error) {
	took := map[Way]time.Duration{}
	for _, way := range Ways {
		at, err := h.wait(ctx, way, true)
		if err != nil {
			return nil, err
		}
		took[way] = at.Sub(began)
	}
	end()
	for _, way := range Ways {
		if _, err := h.wait(ctx, way, false); err != nil {
			return nil, err
		}
	}
	return took, nil
}
