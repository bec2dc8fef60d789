package alerting

import (
	"context"
	"fmt"
	"math/rand/v2"
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
		hook, err := b.hooks.serve(ctx, &all)
		if err != nil {
			return err
		}
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
	return b.hooks.round(ctx, began, func() {
		b.alert(warn.Clear, time.Now())
		b.publish(warn.Excellent)
	})
}

func (b *Bench) alert(kind warn.Kind, at time.Time) {
	a := warn.Alert{At: at, Stream: b.stream(), Kind: kind, Cause: warn.Node}
	b.pusher.Alert(a)
	b.Server.Alert(a)
}

// Rounds is something that alerts in rounds: Bench or Live.
type Rounds interface {
	Round(ctx context.Context) (map[Way]time.Duration, error)
	Stop()
}

// Measure runs rounds at random moments of the scrape's interval, of the sidecar
// itself if live is set, else of its parts with a scripted status.
func Measure(ctx context.Context, p Programs, live bool, interval time.Duration, rounds int, report func(string)) (map[Way][]time.Duration, error) {
	dir, err := os.MkdirTemp("", "alerting-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var b Rounds
	if live {
		b, err = NewLive(ctx, p, dir, interval)
	} else {
		b, err = NewBench(ctx, p, dir, interval)
	}
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
