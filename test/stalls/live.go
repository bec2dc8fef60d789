package main

import (
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/test/stalls/live"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

func liveCommand() *cobra.Command {
	var (
		seed    uint64
		minutes float64
		streams int
		out     string
	)
	c := &cobra.Command{
		Use:   "live",
		Short: "let a seed's streams run in real time over loopback, print ready first, and write what was as generate does",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			s, err := scenario.Draw(seed, time.Duration(minutes*float64(time.Minute)), streams)
			if err != nil {
				return err
			}
			rec, err := live.Run(ctx, s, func() { fmt.Fprintln(c.OutOrStdout(), "ready") })
			if err != nil {
				return err
			}
			return write(rec, viewer.Conceal, out)
		},
	}
	c.Flags().Uint64Var(&seed, "seed", TuningSeeds, "what the scenario is drawn from")
	c.Flags().Float64Var(&minutes, "minutes", 3, "how long it runs")
	c.Flags().IntVar(&streams, "streams", 4, "video streams in it")
	c.Flags().StringVar(&out, "out", ".", "directory to write to")
	return c
}
