package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/bpf/v4l2"
)

// sources is what the kernel tells of the pod's traffic, by the best tier.
type sources struct {
	tap    *rtp.Tap    // nil: not available
	drops  *drop.Probe // nil: not available
	ledger *ledger
	gaps   *gaps
	// cameras is nil where none can be watched.
	cameras *v4l2.Probe
	// missing says, by figure, what can't be had and what it would take.
	missing map[string]string

	events sync.WaitGroup
	stop   context.CancelFunc
}

// openSources never fails: what can't be had is in missing.
func openSources(o *Options, log *slog.Logger) *sources {
	ctx, stop := context.WithCancel(context.Background())
	s := &sources{ledger: newLedger(), gaps: &gaps{}, missing: map[string]string{}, stop: stop}
	var err error
	if s.drops, err = drop.Open(drop.Options{Detail: true, MaxTier: o.maxTier()}); err != nil {
		s.missing["drops"] = err.Error()
	} else if why := s.drops.Why(); why != nil {
		s.missing["drops by reason"] = why.Error()
	}
	if o.maxTier() != bpf.TierKernel {
		s.missing["packet loss, jitter and frames"] = "the tier is user"
	} else if s.tap, err = rtp.Open(rtp.Options{Ports: o.Ports}); err != nil {
		s.tap = nil
		s.missing["packet loss, jitter and frames"] = err.Error()
	}
	if o.maxTier() != bpf.TierKernel {
		s.missing["cameras of the pod"] = "the tier is user"
	} else if s.cameras, err = v4l2.Open(v4l2.Options{}); err != nil {
		s.cameras = nil
		s.missing["cameras of the pod"] = err.Error()
	}
	read := func(what string, events func(context.Context) error) {
		s.events.Go(func() {
			if err := events(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, os.ErrClosed) {
				log.Error("reading "+what, "error", err)
			}
		})
	}
	if s.drops != nil && s.drops.Tier() == bpf.TierKernel {
		read("drops", func(ctx context.Context) error { return s.drops.Events(ctx, s.ledger.add) })
	}
	if s.tap != nil {
		read("gaps", func(ctx context.Context) error { return s.tap.Gaps(ctx, s.gaps.add) })
	}
	for figure, why := range s.missing {
		log.Info("not available", "figure", figure, "why", why)
	}
	return s
}

// openSourcesUntil returns nil when ctx ends before the sources are open. On a
// machine that is short of CPU the kernel takes tens of seconds to verify the
// programs, and nobody waits for what is not needed any more.
func openSourcesUntil(ctx context.Context, o *Options, log *slog.Logger) *sources {
	opened := make(chan *sources, 1)
	go func() { opened <- openSources(o, log) }()
	select {
	case s := <-opened:
		return s
	case <-ctx.Done():
		// Mostly the process ends first, and the kernel closes them.
		go func() { _ = (<-opened).close() }()
		return nil
	}
}

// tier is the best one that was got.
func (s *sources) tier() bpf.Tier {
	if s.tap != nil || s.perStream() {
		return bpf.TierKernel
	}
	return bpf.TierUser
}

// perStream says whether drops are known stream by stream.
func (s *sources) perStream() bool { return s.drops != nil && s.drops.Tier() == bpf.TierKernel }

func (s *sources) close() error {
	s.stop()
	var errs []error
	if s.tap != nil {
		errs = append(errs, s.tap.Close())
	}
	if s.drops != nil {
		errs = append(errs, s.drops.Close())
	}
	if s.cameras != nil {
		errs = append(errs, s.cameras.Close())
	}
	s.events.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the kernel's probes: %w", err)
	}
	return nil
}
