// Command rtp measures what package bpf/rtp costs while it watches many video
// flows in real time, and whether it misses any of them.
//
// The flows cross a veth pair into a network namespace where the tap is; both
// namespaces are this process's own. Blocks with and without the tap alternate,
// so that a slow moment of the machine, or a neighbour, meets both; the cost is
// the difference between neighbouring blocks in the processors' busy time, all
// of the machine, with its 95 % interval. Beside it stands what the kernel's
// own statistics say the programs took, from blocks that are not compared,
// since keeping those statistics costs something itself.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/rtp"
)

type settings struct {
	flows int
	with  time.Duration // in all, with the tap
	block time.Duration
	read  time.Duration // how often figures are read
	mode  rtp.Mode
}

func main() {
	var s settings
	out := flag.String("o", "", "also write the result to this file")
	flag.IntVar(&s.flows, "flows", 1200, "how many flows of 720p at 30 frames a second")
	flag.DurationVar(&s.with, "for", time.Minute, "how long the tap watches in all; without it, as long again")
	flag.DurationVar(&s.block, "block", time.Second, "how long it does at a time")
	flag.DurationVar(&s.read, "read", 100*time.Millisecond, "how often all figures are read")
	tcx := flag.Bool("tcx", false, "watch by TCX instead of a packet socket")
	flag.Parse()
	if *tcx {
		s.mode = rtp.TCX
	}
	var b strings.Builder
	err := run(io.MultiWriter(&b, os.Stdout), s)
	if *out != "" && err == nil {
		err = os.WriteFile(*out, []byte(b.String()), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, s settings) error {
	b, err := newBench(s)
	if err != nil {
		return err
	}
	defer b.close()
	// The caches and the neighbours' tables are warm after this.
	if _, err := b.run(time.Second, off); err != nil {
		return err
	}
	blocks := max(2, int(s.with/s.block))
	var without, with, inside []result
	for i := range blocks {
		fmt.Fprintf(os.Stderr, "pair %d of %d\n", i+1, blocks)
		order := []state{off, on}
		if i%2 == 1 {
			order = []state{on, off} // a drift of the machine meets both alike
		}
		for _, state := range order {
			r, err := b.run(s.block, state)
			if err != nil {
				return err
			}
			if state == on {
				with = append(with, r)
			} else {
				without = append(without, r)
			}
		}
	}
	for range 2 {
		r, err := b.run(s.block, onWithStatistics)
		if err != nil {
			return err
		}
		inside = append(inside, r)
	}
	return report(w, s, without, with, inside)
}
