package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/netns"
	"github.com/debugsidecar/debugsidecar/bpf/rtp"
	"github.com/debugsidecar/debugsidecar/test/bench/streams"
)

// state says what watches in a block.
type state int

const (
	off state = iota
	on
	onWithStatistics // those of BPF programs, which the kernel keeps if asked
)

// result is one block.
type result struct {
	pace  streams.Pace
	busy  time.Duration // of all processors
	own   time.Duration // of that, this process: both ends, what the kernel does for them at once, and the tap
	stole time.Duration // by the machine below, of all processors

	received uint64
	// With the tap:
	seen, lost, missed, wrong uint64 // flows, then packets, packets, flows
	extra                     uint64 // flows that nobody sent
	reads                     int
	longestRead, reading      time.Duration
	gaps                      uint64
	stats                     rtp.Stats
	programs                  time.Duration // run time of the programs
	runs                      uint64
}

type bench struct {
	settings
	from, to *os.File // network namespaces
	sender   *streams.Sender
	receiver *streams.Receiver
}

func newBench(s settings) (*bench, error) {
	b := &bench{settings: s}
	var err error
	if b.from, b.to, err = namespaces(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	address := netip.AddrPortFrom(receiverAddr, 5004)
	err = netns.Do(path(b.to), func() (err error) {
		b.receiver, err = streams.NewReceiver(address)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	err = netns.Do(path(b.from), func() (err error) {
		via, err := link(b.from, b.to)
		if err != nil {
			return err
		}
		from := netip.AddrPortFrom(senderAddr, 20_000)
		b.sender, err = streams.NewSender(streams.Config{Via: via, From: from, To: address, Flows: s.flows})
		return err
	})
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bench) close() error {
	var errs []error
	if b.sender != nil {
		errs = append(errs, b.sender.Close())
	}
	if b.receiver != nil {
		errs = append(errs, b.receiver.Close())
	}
	for _, f := range []*os.File{b.from, b.to} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// run sends for a block, and lets the tap watch all of it but nothing else.
func (b *bench) run(d time.Duration, s state) (r result, err error) {
	if s == onWithStatistics {
		statistics, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
		if err != nil {
			return r, fmt.Errorf("statistics of programs: %w", err)
		}
		defer statistics.Close()
	}
	var w *watcher
	if s != off {
		if w, err = b.watch(); err != nil {
			return r, err
		}
		defer w.tap.Close()
	}
	before := append([]streams.Flow(nil), b.sender.Flows()...)
	received, err := b.receiver.Packets()
	if err != nil {
		return r, err
	}
	own := process()
	busy, stole, err := processors()
	if err != nil {
		return r, err
	}
	if r.pace, err = b.sender.Run(d); err != nil {
		return r, err
	}
	busyAfter, stoleAfter, err := processors()
	if err != nil {
		return r, err
	}
	r.busy, r.stole, r.own = busyAfter-busy, stoleAfter-stole, process()-own
	// Over a veth pair what was sent has arrived, but for what another processor
	// is at.
	for range 100 {
		now, err := b.receiver.Packets()
		if err != nil {
			return r, err
		}
		if r.received = now - received; r.received == r.pace.Packets {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if w == nil {
		return r, nil
	}
	return r, w.finish(&r, before, b.sender.Flows(), s)
}

// watcher reads a tap's figures as the sidecar does.
type watcher struct {
	tap    *rtp.Tap
	stop   context.CancelFunc
	wait   sync.WaitGroup
	reads  int
	worst  time.Duration
	took   time.Duration
	gaps   uint64
	failed error
}

func (b *bench) watch() (*watcher, error) {
	tap, err := rtp.Open(rtp.Options{Netns: path(b.to), Mode: b.mode})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &watcher{tap: tap, stop: stop}
	w.wait.Go(func() {
		tick := time.NewTicker(b.read)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			start := time.Now()
			if _, err := tap.Flows(); err != nil {
				w.failed = err
				return
			}
			w.reads++
			w.worst = max(w.worst, time.Since(start))
			w.took += time.Since(start)
		}
	})
	w.wait.Go(func() { _ = tap.Gaps(ctx, func(rtp.Gap) { w.gaps++ }) })
	return w, nil
}

// finish compares what the tap saw with what was sent.
func (w *watcher) finish(r *result, before, after []streams.Flow, s state) error {
	w.stop()
	w.wait.Wait()
	if w.failed != nil {
		return w.failed
	}
	r.reads, r.longestRead, r.reading, r.gaps = w.reads, w.worst, w.took, w.gaps
	flows, err := w.tap.Flows()
	if err != nil {
		return err
	}
	type key struct {
		ssrc   uint32
		source netip.AddrPort
	}
	seen := make(map[key]*rtp.Flow, len(flows))
	for i := range flows {
		if f := &flows[i]; f.Direction == rtp.Ingress {
			seen[key{f.SSRC, f.Src}] = f
		} else {
			r.extra++
		}
	}
	for i, sent := range after {
		packets, frames := sent.Packets-before[i].Packets, sent.Frames-before[i].Frames
		f, ok := seen[key{sent.SSRC, sent.Source}]
		if !ok {
			r.missed += packets
			continue
		}
		delete(seen, key{sent.SSRC, sent.Source})
		r.seen++
		r.lost += f.Lost
		r.missed += packets - f.Packets
		if f.Packets != packets || f.Frames != frames || f.Lost != 0 || f.Reordered != 0 || f.Duplicates != 0 {
			r.wrong++
		}
	}
	r.extra += uint64(len(seen))
	if r.stats, err = w.tap.Stats(); err != nil {
		return err
	}
	if s == onWithStatistics {
		return ran(r)
	}
	return nil
}
