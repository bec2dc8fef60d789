package push

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Options of New.
type Options struct {
	Receivers []Receiver
	// Labels go with each alert: namespace, pod, node. Names are letters, digits and
	// underscores.
	Labels map[string]string
	// Queue is how many alerts wait for a receiver at most: 1024 by default.
	Queue int
	// Repeat is how often an alert that is still on is sent again: once a minute
	// by default. Alertmanager ends one that it has not heard of for four times
	// that long.
	Repeat time.Duration
	// Expiry is after how long an alert that could not be sent is given up: five
	// minutes by default.
	Expiry time.Duration
	// Drain is how long Run may go on sending once it is to stop: 5 s by default.
	Drain time.Duration
	// Log takes what goes wrong; by default nothing does.
	Log *slog.Logger
}

// Pusher sends alerts. It is a prometheus.Collector of how that goes.
type Pusher struct {
	opts    Options
	metrics *metrics
	senders []*sender
}

// labelName is what Alertmanager takes for one.
var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// New checks the receivers and reads their certificates. Nothing is sent before
// Run.
func New(opts Options) (*Pusher, error) {
	if opts.Queue == 0 {
		opts.Queue = 1024
	}
	if opts.Repeat == 0 {
		opts.Repeat = time.Minute
	}
	if opts.Expiry == 0 {
		opts.Expiry = 5 * time.Minute
	}
	if opts.Drain == 0 {
		opts.Drain = 5 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	for name := range opts.Labels {
		if !labelName.MatchString(name) {
			return nil, fmt.Errorf("label %q: must be letters, digits and underscores", name)
		}
	}
	p := &Pusher{opts: opts, metrics: newMetrics()}
	names := map[string]bool{}
	for i, r := range opts.Receivers {
		if err := r.complete(); err != nil {
			return nil, fmt.Errorf("receiver %d: %w", i+1, err)
		}
		if names[r.Name] {
			return nil, fmt.Errorf("receiver %d: another one is called %q, too; give it a name", i+1, r.Name)
		}
		names[r.Name] = true
		s, err := newSender(r, &p.opts, p.metrics)
		if err != nil {
			return nil, fmt.Errorf("receiver %s: %w", r.Name, err)
		}
		p.senders = append(p.senders, s)
	}
	return p, nil
}

// Alert gives an alert to each receiver's queue.
func (p *Pusher) Alert(a warn.Alert) {
	now := time.Now()
	for _, s := range p.senders {
		s.queue.add(a, now)
	}
}

// Ended ends all alerts of a stream that is watched no more.
func (p *Pusher) Ended(stream sample.Stream) {
	now := time.Now()
	for _, s := range p.senders {
		s.queue.end(stream.Key(), now)
	}
}

// Run sends until ctx ends. Then it sends what is queued, and the end of each
// alert that is on, since nobody watches any more; this takes no longer than
// Options.Drain.
func (p *Pusher) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range p.senders {
		all.Go(func() { s.run(ctx) })
	}
	all.Wait()
}

// Describe is prometheus.Collector's.
func (p *Pusher) Describe(ch chan<- *prometheus.Desc) { p.metrics.describe(ch) }

// Collect is prometheus.Collector's.
func (p *Pusher) Collect(ch chan<- prometheus.Metric) {
	for _, s := range p.senders {
		p.metrics.queued.WithLabelValues(s.receiver.Name).Set(float64(s.queue.length()))
	}
	p.metrics.collect(ch)
}
