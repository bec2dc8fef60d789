package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf"
	"github.com/debugsidecar/debugsidecar/bpf/drop"
	"github.com/debugsidecar/debugsidecar/bpf/netns"
)

const (
	blockDatagrams = 20_000
	blocks         = 4 // a start of a subject
	settle         = 50 * time.Millisecond
)

// costOfDrops reports what each subject adds to a datagram that is dropped for
// a full receive buffer.
func costOfDrops(w io.Writer, rounds int) error {
	own, err := netns.Self()
	if err != nil {
		return err
	}
	l, err := newLoad(true)
	if err != nil {
		return err
	}
	defer l.close()
	all := subjects(own)
	added := make([][]float64, len(all))
	var plain []float64
	missed := make([]int64, len(all))
	inside := make([][]float64, len(all))
	for round := range rounds {
		progress("cost of a drop: round %d of %d", round+1, rounds)
		for _, i := range rand.Perm(len(all)) {
			m, err := measure(all[i], l)
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			plain = append(plain, m.without)
			added[i] = append(added[i], m.with-m.without)
			inside[i] = append(inside[i], m.inside)
			if all[i].counts {
				missed[i] += (blocks+1)*blockDatagrams - m.seen
			}
		}
	}
	fmt.Fprintf(w, "Cost of a drop (receive buffer full; %d rounds of %d datagrams)\n\n", rounds, blocks*blockDatagrams)
	fmt.Fprintf(w, "%-38s  %-20s  %-18s  %s\n", "", "added to a drop, ns", "in the program, ns", "not counted")
	fmt.Fprintf(w, "%-38s  %.0f in all\n", "no program", median(plain))
	for i, s := range all {
		mean, half := interval(added[i])
		unseen := "-"
		if s.counts {
			unseen = fmt.Sprint(missed[i])
		}
		fmt.Fprintf(w, "%-38s  %6.0f ± %-11.0f  %-18.0f  %s\n", s.name, mean, half, median(inside[i]), unseen)
	}
	fmt.Fprint(w, `
"Added" is the mean of the paired differences with its 95 % interval; "in the
program" is the median of what the kernel's own statistics of BPF programs say.
`)
	return nil
}

// measured is one start of a subject: times of a datagram in ns, each the least
// of a few blocks, as what else the machine does only adds to a block.
type measured struct {
	with, without float64
	inside        float64 // the program alone
	seen          int64
}

func measure(s subject, l *load) (m measured, err error) {
	if m.without, err = fastest(l); err != nil {
		return m, err
	}
	stop, err := s.start()
	if err != nil {
		return m, err
	}
	m.with, err = fastest(l)
	if err == nil {
		m.inside, err = programTime(blockDatagrams, func() error { return l.send(blockDatagrams) })
	}
	seen, stopErr := stop()
	m.seen = seen
	return m, errors.Join(err, stopErr)
}

func fastest(l *load) (float64, error) {
	least := math.Inf(1)
	for range blocks {
		t, err := timed(blockDatagrams, l.send)
		if err != nil {
			return 0, err
		}
		least = min(least, t)
	}
	return least, nil
}

// costOfNoDrops reports how the probe changes the throughput of datagrams that
// are received.
func costOfNoDrops(w io.Writer, pairs int) error {
	l, err := newLoad(false)
	if err != nil {
		return err
	}
	defer l.close()
	const datagrams = 10_000
	if _, err := timed(5*datagrams, l.sendAndReceive); err != nil {
		return err
	}
	var change []float64
	for pair := range pairs {
		if pair%100 == 0 {
			progress("no drops: pair %d of %d", pair+1, pairs)
		}
		var took [2]float64
		for k := range 2 {
			watched := (k + pair) % 2 // in turn, which one is first
			stop := func() (int64, error) { return 0, nil }
			if watched == 1 {
				if stop, err = startProbe(drop.Options{Detail: true}); err != nil {
					return err
				}
			}
			// The kernel frees what the last probe had a moment later.
			time.Sleep(settle)
			t, err := timed(datagrams, l.sendAndReceive)
			if err != nil {
				return err
			}
			if _, err := stop(); err != nil {
				return err
			}
			took[watched] = t
		}
		change = append(change, (took[0]/took[1]-1)*100)
	}
	trimmed := trim(change)
	mean, half := interval(trimmed)
	fmt.Fprintf(w, "\nNo drops: throughput with the probe against without: %+.2f %% ± %.2f (95 %%, %d pairs of %d datagrams sent and received; the outer tenth of the pairs is left out)\n",
		mean, half, pairs, datagrams)
	return nil
}

// noEventLost makes drops at 250,000 a second and reports what reached the reader.
func noEventLost(w io.Writer, burst time.Duration) error {
	const rate = 250_000
	p, err := drop.Open(drop.Options{Detail: true, MaxTier: bpf.TierKernel})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var read int
	done := make(chan error, 1)
	go func() { done <- p.Events(ctx, func(drop.Event) { read++ }) }()
	progress("events at %d drops/s for %v", rate, burst)
	start := time.Now()
	const senders = 2 // one alone is not quick enough
	sent, err := sendPaced(senders, rate/senders, burst)
	if err != nil {
		return err
	}
	took := time.Since(start)
	cancel() // Events hands over what is in the ring, then ends
	if err := <-done; !errors.Is(err, context.Canceled) {
		return err
	}
	stats, err := p.Stats()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nEvents: %d drops in %.1f s (%.0f a second), %d read, %d lost\n",
		sent, took.Seconds(), float64(sent)/took.Seconds(), read, stats.LostEvents)
	return nil
}

// sendPaced sends datagrams that are dropped, from several threads, each at a
// rate a second, and returns how many the kernel dropped.
func sendPaced(senders int, rate float64, burst time.Duration) (sent int, err error) {
	type result struct {
		sent int
		err  error
	}
	results := make(chan result)
	for range senders {
		// The sockets are made here, in the namespace.
		l, err := newLoad(true)
		if err != nil {
			return 0, err
		}
		defer l.close()
		go func() {
			r := result{sent: fill}
			start := time.Now()
			for r.err == nil && time.Since(start) < burst {
				if n := min(int(time.Since(start).Seconds()*rate)+fill-r.sent, 500); n > 0 {
					r.err = l.send(n)
					r.sent += n
				}
			}
			results <- r
		}()
	}
	for range senders {
		r := <-results
		sent += r.sent
		err = errors.Join(err, r.err)
	}
	return sent, err
}

// interval returns the mean and half the width of its 95 % interval.
func interval(values []float64) (mean, half float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	var squares float64
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	n := float64(len(values))
	return mean, 1.96 * math.Sqrt(squares/(n-1)/n)
}

// trim leaves out the outer tenth: a block that another process interrupted
// says nothing about the probe. It does so alike on both sides.
func trim(values []float64) []float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/20 : len(values)-len(values)/20]
}

func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
