package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/test/stalls/baseline"
	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/score"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

func scoreCommand() *cobra.Command {
	var truthName, alertsName string
	var missed bool
	c := &cobra.Command{
		Use:   "score",
		Short: "judge alerts (JSON lines) by a capture's truth",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			truth, err := readTruth(truthName)
			if err != nil {
				return err
			}
			file, err := os.Open(alertsName)
			if err != nil {
				return err
			}
			defer file.Close()
			alerts, err := score.ReadAlerts(file, truth.Start)
			if err != nil {
				return err
			}
			var t score.Table
			t.Add(truth, alerts)
			if missed {
				t.PrintFaulty(c.OutOrStdout())
			}
			return t.Print(c.OutOrStdout(), alertsName, true)
		},
	}
	c.Flags().StringVar(&truthName, "truth", truthFile, "the capture's truth.json")
	c.Flags().StringVar(&alertsName, "alerts", "/dev/stdin", "what sidecar replay --json printed")
	c.Flags().BoolVar(&missed, "list", false, "list each wrong alert and unforeseen episode, too")
	return c
}

func readTruth(name string) (record.Truth, error) {
	var truth record.Truth
	text, err := os.ReadFile(name)
	if err != nil {
		return truth, err
	}
	return truth, json.Unmarshal(text, &truth)
}

func tableCommand() *cobra.Command {
	var (
		seed    uint64
		seeds   int
		hours   float64
		streams int
		out     string
		sidecar string
		freeze  bool
		packets bool
	)
	c := &cobra.Command{
		Use:   "table",
		Short: "run the detectors and two plain rules over seeds and print their figures",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			to := c.OutOrStdout()
			if out != "" {
				file, err := os.Create(out)
				if err != nil {
					return err
				}
				defer file.Close()
				to = io.MultiWriter(to, file)
			}
			d, err := findDetectors(sidecar)
			if err != nil {
				return err
			}
			defer d.close()
			d.packetsOnly = packets
			return table(to, d, seed, seeds, time.Duration(hours*float64(time.Hour)), streams, lossOf(freeze))
		},
	}
	c.Flags().Uint64Var(&seed, "seed", ReportingSeeds, "the first seed; the default is for reports, tune on 1 and up")
	c.Flags().IntVar(&seeds, "seeds", 8, "how many seeds from there on")
	c.Flags().Float64Var(&hours, "hours", .5, "length of each capture")
	c.Flags().IntVar(&streams, "streams", 20, "video streams in each")
	c.Flags().StringVarP(&out, "output", "o", "", "write the figures to this file, too")
	c.Flags().StringVar(&sidecar, "sidecar", "", "a sidecar that is built already")
	c.Flags().BoolVar(&freeze, "freeze", false, freezeUsage)
	c.Flags().BoolVar(&packets, "packets-only", false, "keep from the detectors what the kernel said of the sockets")
	return c
}

// table prints the figures of all who warn, over the same captures.
func table(to io.Writer, detectors detectors, seed uint64, seeds int, duration time.Duration, streams int, loss viewer.Loss) error {
	var ours score.Table
	plain := map[string]*score.Table{baseline.Freeze: {}, baseline.EWMA: {}}
	var took time.Duration
	for n := range seeds {
		rec, err := run(seed+uint64(n), duration, streams)
		if err != nil {
			return err
		}
		truth := rec.Truth(loss)
		began := time.Now()
		out, err := detectors.replay(rec, duration)
		if err != nil {
			return err
		}
		took += time.Since(began)
		alerts, err := score.ReadAlerts(bytes.NewReader(out), record.Start)
		if err != nil {
			return err
		}
		ours.Add(truth, alerts)
		for rule, t := range plain {
			capture := rec.Capture(duration)
			alerts, err := baseline.Alerts(rule, capture, record.Start)
			capture.Close()
			if err != nil {
				return err
			}
			t.Add(truth, alerts)
		}
	}
	fmt.Fprintf(to, "Seeds %d to %d, %d streams of %v each. Writing the captures and replaying them took %.1f s per hour of capture.\n\n",
		seed, seed+uint64(seeds)-1, streams, duration, took.Seconds()/(duration.Hours()*float64(seeds)))
	if err := ours.Print(to, "debugsidecar", true); err != nil {
		return err
	}
	ours.PrintAims(to)
	if err := ours.PrintCauses(to); err != nil {
		return err
	}
	if err := plain[baseline.Freeze].Print(to, "baseline: freeze detection (W3C webrtc-stats)", false); err != nil {
		return err
	}
	return plain[baseline.EWMA].Print(to, "baseline: EWMA of frame intervals, alpha 0.2, 1.8 times the mean of 5 s, twice", false)
}
