package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
)

// watch prints drops until ctx ends or the time is over, then their sums.
func watch(ctx context.Context, out, log io.Writer, o drop.Options, f flags) error {
	p, err := drop.Open(o)
	if err != nil {
		return err
	}
	defer p.Close()
	print := printer(out, f.json)
	fmt.Fprintf(log, "watching %s\n", describe(p))

	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	w := &watcher{probe: p, ledger: newLedger(p.Tier() == bpf.TierKernel)}
	reading := make(chan error, 1)
	if w.ledger.detail {
		go func() { reading <- p.Events(ctx, w.event) }()
	} else {
		reading <- nil
	}
	ticker := time.NewTicker(f.tick)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-ticker.C:
			if err := w.tick(now, false, print); err != nil {
				return err
			}
		}
	}
	// What is in the ring is read before the counters are.
	if err := <-reading; err != nil && !errors.Is(err, ctx.Err()) && !errors.Is(err, os.ErrClosed) {
		return err
	}
	if err := w.tick(time.Now(), true, print); err != nil {
		return err
	}
	return w.summary(log)
}

type watcher struct {
	probe *drop.Probe

	mu     sync.Mutex
	ledger *ledger
}

func (w *watcher) event(e drop.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger.event(e)
}

func (w *watcher) tick(now time.Time, end bool, print func([]line) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts, err := w.probe.Counts()
	if err != nil {
		return err
	}
	stats, err := w.probe.Stats()
	if err != nil {
		return err
	}
	return print(w.ledger.tick(now, counts, stats.LostEvents, end))
}

// summary prints the sums, and what was missed.
func (w *watcher) summary(log io.Writer) error {
	sums := w.ledger.sums()
	if len(sums) == 0 {
		fmt.Fprintln(log, "no drops")
	}
	for _, s := range sums {
		fmt.Fprintf(log, "%10d  %-5s  %s %s %s\n", s.count, drop.Classify(s.reason), s.reason, familyName(s.family), protoName(s.proto))
	}
	stats, err := w.probe.Stats()
	if err != nil {
		return err
	}
	for _, missed := range []struct {
		n    uint64
		text string
	}{
		{stats.LostEvents, "drops were counted, but without their addresses: too many at once"},
		{stats.OverflowedDrops, "drops are in no count: of too many kinds"},
		{stats.UnattributedDrops, "drops on this node can't be told whose they were"},
		{stats.MissedRuns, "drops on this node were missed: they interrupted the probe"},
	} {
		if missed.n > 0 {
			fmt.Fprintf(log, "%10d  %s\n", missed.n, missed.text)
		}
	}
	return nil
}
