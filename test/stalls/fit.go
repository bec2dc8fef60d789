package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/sidecar/replay"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
	"github.com/debugsidecar/debugsidecar/test/stalls/fit"
	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/score"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

func fitCommand() *cobra.Command {
	var (
		seed    uint64
		seeds   int
		hours   float64
		streams int
		out     string
		o       fit.Options
	)
	c := &cobra.Command{
		Use:   "fit",
		Short: "fit the model that forecasts stalls to captures of tuning seeds, and write it",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			data, err := observeAll(c.ErrOrStderr(), seed, seeds, time.Duration(hours*float64(time.Hour)), streams)
			if err != nil {
				return err
			}
			model := fit.Boost(data, o, func(tree int, loss float64) {
				if tree%20 == 0 {
					fmt.Fprintf(c.ErrOrStderr(), "tree %d: loss %.4f\n", tree, loss)
				}
			})
			return os.WriteFile(out, model.Encode(), 0o644)
		},
	}
	c.Flags().Uint64Var(&seed, "seed", TuningSeeds, "the first seed")
	c.Flags().IntVar(&seeds, "seeds", 160, "how many seeds from there on")
	c.Flags().Float64Var(&hours, "hours", .25, "length of each capture")
	c.Flags().IntVar(&streams, "streams", 20, "video streams in each")
	c.Flags().StringVarP(&out, "output", "o", "sidecar/warn/model.bin", "where to write it")
	c.Flags().IntVar(&o.Trees, "trees", 300, "how many trees")
	c.Flags().Float64Var(&o.Rate, "rate", .1, "by which each counts")
	c.Flags().Float64Var(&o.Lambda, "lambda", 4, "regularisation of leaves")
	c.Flags().Float64Var(&o.MinHess, "min-hess", 3, "the least weight of a leaf")
	return c
}

// observeAll returns the observations of several seeds, in their order.
func observeAll(progress io.Writer, seed uint64, seeds int, duration time.Duration, streams int) (*fit.Data, error) {
	each := make([]fit.Data, seeds)
	failed := make([]error, seeds)
	var some sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for n := range each {
		slots <- struct{}{}
		some.Go(func() {
			failed[n] = observe(&each[n], seed+uint64(n), duration, streams)
			fmt.Fprintf(progress, "seed %d: %d rows\n", seed+uint64(n), each[n].Len())
			<-slots
		})
	}
	some.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	all := &fit.Data{Features: len(warn.FeatureNames)}
	for n := range each {
		all.Rows, all.Label = append(all.Rows, each[n].Rows...), append(all.Label, each[n].Label...)
		each[n] = fit.Data{}
	}
	return all, nil
}

const (
	// soon is before how many seconds a stall is near.
	soon = .5
	// every so many rows one is taken.
	every = 12
)

// observe adds a seed's observations, with whether a raise would have been right.
func observe(data *fit.Data, seed uint64, duration time.Duration, streams int) error {
	rec, err := run(seed, duration, streams)
	if err != nil {
		return err
	}
	truth := rec.Truth(viewer.Conceal)
	episodes := map[string]map[float64][]record.Episode{}
	for _, s := range truth.Streams {
		if s.Media != scenario.Video {
			continue
		}
		for _, ssrc := range s.SSRCs {
			by := map[float64][]record.Episode{}
			for _, e := range s.Episodes {
				by[e.Buffer] = append(by[e.Buffer], e)
			}
			episodes[fmt.Sprint(s.Stream, s.Src, ssrc)] = by
		}
	}
	n := 0
	take := func(o warn.Observation) {
		by, video := episodes[fmt.Sprint(o.Stream.Dst.String(), o.Stream.Src.String(), o.Stream.SSRC)]
		at := float64(o.At)/1e9 - float64(truth.Start)
		eta := min(o.ETA, score.Longest)
		if math.IsInf(o.ETA, 1) {
			eta = 0 // no threat by itself
		}
		until := at + max(score.Window, eta)
		if !video || until > truth.Duration {
			return
		}
		label, near := false, false
		for _, e := range by[o.Buffer] {
			if e.Start <= at && at <= e.End {
				return // within an episode a raise counts neither way
			}
			near = near || e.Start-soon <= at && at <= e.End+1
			label = label || at < e.Start && e.Start <= until
		}
		// Rows of one fault are much alike: a few of them, of more faults, are worth
		// more. Near a stall twice as many.
		if n++; n%every == 0 || n%every == every/2 && near {
			data.Add(o.Features, label)
		}
	}
	var kernel bytes.Buffer
	if err := rec.WriteKernel(&kernel, duration); err != nil {
		return err
	}
	// Not everywhere does somebody know of the sockets.
	for _, readings := range []io.Reader{&kernel, nil} {
		capture := rec.Capture(duration)
		_, err := replay.Run(capture, replay.Options{Kernel: readings, Observe: take})
		capture.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
