package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/score"
)

func checkCommand() *cobra.Command {
	var (
		seed    uint64
		hours   float64
		streams int
		cuts    int
		sidecar string
	)
	c := &cobra.Command{
		Use:   "check",
		Short: "check that no alert knows what comes later: replay a capture, and what it was at earlier times",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := findDetectors(sidecar)
			if err != nil {
				return err
			}
			defer d.close()
			rec, err := run(seed, time.Duration(hours*float64(time.Hour)), streams)
			if err != nil {
				return err
			}
			lines, err := foresight(rec, d.replay, cuts)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%d alerts, the same in order with the capture cut at %d places\n", lines, cuts)
			return nil
		},
	}
	c.Flags().Uint64Var(&seed, "seed", TuningSeeds, "what the scenario is drawn from")
	c.Flags().Float64Var(&hours, "hours", .1, "length of the capture")
	c.Flags().IntVar(&streams, "streams", 20, "video streams in it")
	c.Flags().IntVar(&cuts, "cuts", 10, "how many places to cut it at")
	c.Flags().StringVar(&sidecar, "sidecar", "", "a sidecar that is built already")
	return c
}

// foresight returns an error if an alert depends on what comes after it: over a
// capture that is cut, the alerts have to be the first of those over all of it,
// up to the cut, and none may be later than the sample in which the cut is.
func foresight(rec record.Recording, replay func(record.Recording, time.Duration) ([]byte, error), cuts int) (lines int, err error) {
	out, err := replay(rec, rec.Duration())
	if err != nil {
		return 0, err
	}
	whole := bytes.SplitAfter(out, []byte("\n"))
	all, err := score.ReadAlerts(bytes.NewReader(out), record.Start)
	if err != nil {
		return 0, err
	}
	for i := 1; i < len(all); i++ {
		if all[i].At < all[i-1].At {
			return 0, fmt.Errorf("alert %d is earlier than the one before: %s", i+1, whole[i])
		}
	}
	for n := range cuts {
		// Not at a sample's border.
		until := rec.Duration()*time.Duration(n+1)/time.Duration(cuts+1) + 37*time.Millisecond
		out, err := replay(rec, until)
		if err != nil {
			return 0, err
		}
		cut := bytes.SplitAfter(out, []byte("\n"))
		early, err := score.ReadAlerts(bytes.NewReader(out), record.Start)
		if err != nil {
			return 0, err
		}
		for i, a := range early {
			if a.At > (until + sample.Interval).Seconds() {
				return 0, fmt.Errorf("cut at %v, an alert after the end: %s", until, cut[i])
			}
			if i >= len(all) || !bytes.Equal(cut[i], whole[i]) {
				return 0, fmt.Errorf("cut at %v, alert %d is another than in the whole capture: %s", until, i+1, cut[i])
			}
		}
		if n := len(early); n < len(all) && all[n].At <= (until-2*sample.Interval).Seconds() {
			return 0, fmt.Errorf("cut at %v, an alert of the whole capture is missing: %s", until, whole[n])
		}
	}
	return len(all), nil
}
