package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/test/stalls/live"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
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
		Short: "let a seed's streams run in real time over loopback, print ready first, and write the truth",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			s, err := scenario.Draw(seed, time.Duration(minutes*float64(time.Minute)), streams)
			if err != nil {
				return err
			}
			truth, err := live.Run(ctx, s, func() { fmt.Fprintln(c.OutOrStdout(), "ready") })
			if err != nil {
				return err
			}
			return writeFile(out, func(to io.Writer) error { return json.NewEncoder(to).Encode(truth) })
		},
	}
	c.Flags().Uint64Var(&seed, "seed", TuningSeeds, "what the scenario is drawn from")
	c.Flags().Float64Var(&minutes, "minutes", 3, "how long it runs")
	c.Flags().IntVar(&streams, "streams", 4, "video streams in it")
	c.Flags().StringVar(&out, "out", truthFile, "file for the truth")
	return c
}
