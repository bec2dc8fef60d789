package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/debugsidecar/debugsidecar/sidecar/push"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/serve"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Way is how an alert gets from the probe to whoever is to know.
type Way string

const (
	// Direct is pushed to a webhook.
	Direct Way = "pushed to a webhook"
	// Pushed is pushed to Alertmanager, which notifies a webhook.
	Pushed Way = "pushed to Alertmanager, which notifies a webhook"
	// Scraped is scraped by Prometheus, whose rule tells the same Alertmanager.
	Scraped Way = "scraped by Prometheus, whose rule tells the same Alertmanager"
)

// Ways are all, the fastest first.
var Ways = []Way{Direct, Pushed, Scraped}

// Bench is a probe with a scripted status, watched both ways at once.
type Bench struct {
	Prometheus, Alertmanager *Service
	Server                   *serve.Server

	pusher *push.Pusher
	hooks  *hooks
	stop   func()
	rounds uint32
}

// badRule fires as soon as a scrape shows that a stream is in trouble.
var badRule = Rule{"VideoInTrouble", `debugsidecar_stream_health{health=~"poor|unusable"} == 1`}

// NewBench starts all of it, with files in dir.
func NewBench(ctx context.Context, p Programs, dir string, interval time.Duration) (*Bench, error) {
	ctx, cancel := context.WithCancel(ctx)
	b := &Bench{hooks: newHooks()}
	var all sync.WaitGroup
	b.stop = func() {
		cancel()
		all.Wait()
		for _, s := range []*Service{b.Prometheus, b.Alertmanager} {
			if s != nil {
				s.Stop()
			}
		}
	}
	err := func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		hookServer := &http.Server{Handler: b.hooks, ReadHeaderTimeout: time.Minute}
		all.Go(func() { _ = hookServer.Serve(l) })
		all.Go(func() { <-ctx.Done(); _ = hookServer.Close() })
		hook := "http://" + l.Addr().String()
		if b.Alertmanager, err = p.Alertmanager(ctx, dir, hook+"/alertmanager"); err != nil {
			return err
		}
		b.pusher, err = push.New(push.Options{
			Labels: map[string]string{"namespace": "cameras", "pod": "ingest-0"},
			Receivers: []push.Receiver{
				{Name: "alertmanager", URL: b.Alertmanager.URL},
				{Name: "webhook", Kind: push.Webhook, URL: hook + "/direct"},
			},
		})
		if err != nil {
			return err
		}
		b.Server, err = serve.New(serve.Options{
			Addr: "127.0.0.1:0", LocalAddr: "127.0.0.1:0", Token: serve.NewToken(), Collectors: []prometheus.Collector{b.pusher},
		})
		if err != nil {
			return err
		}
		all.Go(func() { b.pusher.Run(ctx) })
		all.Go(func() { _ = b.Server.Run(ctx) })
		b.publish(warn.Excellent)
		pod, _ := b.Server.Addrs()
		b.Prometheus, err = p.Prometheus(ctx, dir, pod.String(), b.Alertmanager, interval, badRule)
		return err
	}()
	if err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

// Stop ends all of it.
func (b *Bench) Stop() { b.stop() }

// stream is another one each round: Alertmanager makes what it knows wait for
// its group's interval.
func (b *Bench) stream() sample.Stream {
	return sample.Stream{
		Src: netip.MustParseAddrPort("10.31.0.10:40000"), Dst: netip.MustParseAddrPort("10.20.0.7:5004"), SSRC: b.rounds,
	}
}

func (b *Bench) publish(health warn.Health) {
	stream := b.stream()
	s := status.Stream{Key: stream.Key(), Name: stream.String(), Src: stream.Src.String(), SSRC: stream.SSRC, Transport: "udp"}
	s.Verdict = warn.Verdict{Health: health}
	s.Window.LagSeconds = sample.Of(.02)
	b.Server.Publish(&status.Status{At: time.Now(), Version: "test", State: "Ready", Tier: "kernel", Health: health, Streams: []status.Stream{s}})
}

// Round lets packets be dropped once, and returns how long it took until each way
// brought the alert. It returns after all have brought its end, too.
func (b *Bench) Round(ctx context.Context) (map[Way]time.Duration, error) {
	b.rounds++
	began := time.Now()
	b.alert(warn.Degraded, began)
	b.publish(warn.Poor)
	took := map[Way]time.Duration{}
	for _, way := range Ways {
		at, err := b.hooks.wait(ctx, way, true)
		if err != nil {
			return nil, err
		}
		took[way] = at.Sub(began)
	}
	b.alert(warn.Clear, time.Now())
	b.publish(warn.Excellent)
	for _, way := range Ways {
		if _, err := b.hooks.wait(ctx, way, false); err != nil {
			return nil, err
		}
	}
	return took, nil
}

func (b *Bench) alert(kind warn.Kind, at time.Time) {
	a := warn.Alert{At: at, Stream: b.stream(), Kind: kind, Cause: warn.Node}
	b.pusher.Alert(a)
	b.Server.Alert(a)
}

// Measure runs rounds at random moments of the scrape's interval.
func Measure(ctx context.Context, p Programs, interval time.Duration, rounds int, report func(string)) (map[Way][]time.Duration, error) {
	dir, err := os.MkdirTemp("", "alerting-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, err := NewBench(ctx, p, dir, interval)
	if err != nil {
		return nil, err
	}
	defer b.Stop()
	took := map[Way][]time.Duration{}
	if _, err := b.Round(ctx); err != nil { // the first scrapes are those of a start
		return nil, fmt.Errorf("the first round: %w", err)
	}
	for i := range rounds {
		time.Sleep(rand.N(interval))
		round, err := b.Round(ctx)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
		report(fmt.Sprintf("round %d of %d: %v %v %v", i+1, rounds, round[Direct], round[Pushed], round[Scraped]))
		for way, d := range round {
			took[way] = append(took[way], d)
		}
	}
	for _, list := range took {
		slices.Sort(list)
	}
	return took, nil
}

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
		var alerts []struct{ Kind warn.Kind }
		if json.NewDecoder(r.Body).Decode(&alerts) != nil {
			return
		}
		for _, a := range alerts {
			h.set(Direct, a.Kind != warn.Clear, now)
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
		way := Pushed
		if a.Labels["alertname"] == badRule.Alert {
			way = Scraped
		}
		h.set(way, a.Status == "firing", now)
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
