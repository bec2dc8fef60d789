// Package serve tells what the probe knows: to Prometheus and the kubelet on the
// pod's address, and to people on loopback.
//
// Loopback is no boundary in a pod: each container of it is there, and so is a
// browser behind a port-forward. So all that loopback serves takes the pod's
// token, and requests that a foreign page makes are refused by their Host,
// Origin and Sec-Fetch-Site.
//
// Publish and Alert never wait for a client. A client that is too slow loses its
// connection; nothing is queued for it.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Options of New. All but Token have defaults.
type Options struct {
	// Addr is where metrics, health and readiness are served: ":9400" by default.
	// If its port is taken, the next free one is, unless Fixed is set.
	Addr  string
	Fixed bool
	// LocalAddr is where all else is served, a loopback address: "127.0.0.1:9401"
	// by default, or the next free port.
	LocalAddr string
	// Token is what requests on loopback have to show; see NewToken.
	Token string
	// Pictures are those of /live.mjpg; nil keeps them off.
	Pictures Pictures
	// AliveWithin is how old the last Publish may be for /healthz: 10 s by default.
	AliveWithin time.Duration
	// MaxStreams is how many streams /metrics names: 2000 by default.
	MaxStreams int
	// Collectors are shown on /metrics besides the probe's own.
	Collectors []prometheus.Collector
	// Log takes what goes wrong; by default nothing does.
	Log *slog.Logger
}

// Pictures are the capture's latest ones.
type Pictures interface {
	// Picture returns the newest JPEG and its number if that is above after; numbers
	// only grow. The bytes stay as they are until the next call.
	Picture(after uint64) (jpeg []byte, number uint64, ok bool)
	// WantPictures says whether somebody looks or an alert is on. It is called
	// when that changes, and must not block.
	WantPictures(bool)
}

// Server serves the last published status.
type Server struct {
	opts    Options
	log     *slog.Logger
	started time.Time

	current   atomic.Pointer[status.Status]
	published atomic.Int64 // when, in nanoseconds since started

	metrics *metrics
	history *history
	events  *events
	marks   *marks
	live    *live

	listeners []net.Listener // the pod's, loopback's
	handlers  []http.Handler
}

// New listens, so that the ports are known, but serves nothing before Run.
func New(opts Options) (*Server, error) {
	if opts.Addr == "" {
		opts.Addr = ":9400"
	}
	if opts.LocalAddr == "" {
		opts.LocalAddr = "127.0.0.1:9401"
	}
	s, err := newServer(opts)
	if err != nil {
		return nil, err
	}
	// Loopback first: the pod's address covers it, and the search for the next
	// free port then finds what is left.
	local, err := listenLocal(opts.LocalAddr)
	if err != nil {
		return nil, err
	}
	pod, err := listen(opts.Addr, opts.Fixed)
	if err != nil {
		_ = local.Close()
		return nil, err
	}
	s.listeners = []net.Listener{pod, local}
	return s, nil
}

func newServer(opts Options) (*Server, error) {
	if opts.AliveWithin == 0 {
		opts.AliveWithin = 10 * time.Second
	}
	if opts.MaxStreams == 0 {
		opts.MaxStreams = 2000
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	access, err := newAccess(opts.Token)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, log: opts.Log, started: time.Now(),
		history: newHistory(), events: newEvents(), marks: &marks{}, live: newLive(opts.Pictures),
	}
	s.metrics, err = newMetrics(s)
	if err != nil {
		return nil, err
	}
	s.handlers = []http.Handler{s.podHandler(), s.localHandler(access)}
	return s, nil
}

// Publish makes st what is served from now on. It must not change any more.
func (s *Server) Publish(st *status.Status) {
	s.current.Store(st)
	s.published.Store(int64(time.Since(s.started)))
	s.history.add(st)
	s.metrics.observe(st)
	s.live.streams(st)
}

// Alert counts an alert, marks it in the plot and sends it to who listens.
func (s *Server) Alert(a warn.Alert) {
	s.metrics.alert(a)
	s.events.add(a)
	s.marks.alert(a)
	s.live.alert(a)
}

// Addrs are what New found: the pod's, and loopback's.
func (s *Server) Addrs() (pod, local net.Addr) {
	return s.listeners[0].Addr(), s.listeners[1].Addr()
}

// Link is the page's address with the token, for whoever started the probe by
// hand. It is a secret.
func (s *Server) Link() string {
	return fmt.Sprintf("http://%s/?token=%s", s.listeners[1].Addr(), s.opts.Token)
}

const (
	// headerTimeout is how long a client may take to say what it wants.
	headerTimeout = 5 * time.Second
	idleTimeout   = 30 * time.Second
	// maxHeaderBytes is for a path, a token and a cookie.
	maxHeaderBytes = 16 << 10
	// stopTimeout is how long requests may take once the server stops.
	stopTimeout = 2 * time.Second
)

// Run serves until ctx ends, then finishes what is in flight. It returns an
// error if it could not serve.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	var servers []*http.Server
	for i, l := range s.listeners {
		limit := &connLimit{max: maxConns}
		server := &http.Server{
			Handler:           s.handlers[i],
			ReadHeaderTimeout: headerTimeout, ReadTimeout: 2 * headerTimeout, IdleTimeout: idleTimeout,
			MaxHeaderBytes: maxHeaderBytes, ConnState: limit.changed,
			ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
			BaseContext: func(net.Listener) context.Context { return ctx },
		}
		servers = append(servers, server)
		all.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serving on %s: %w", l.Addr(), err))
			}
		})
	}
	all.Go(func() { s.live.run(ctx) })
	<-ctx.Done()
	// The contexts of requests have ended with ctx: streams end now.
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer done()
	for _, server := range servers {
		if server.Shutdown(stop) != nil {
			_ = server.Close()
		}
	}
	all.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// Close gives up the ports of a server that is never run.
func (s *Server) Close() error {
	return errors.Join(s.listeners[0].Close(), s.listeners[1].Close())
}
