package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
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
		sure    float64
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
			d.packetsOnly, d.confidence = packets, sure
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
	c.Flags().Float64Var(&sure, "confidence", 0, "how likely a stall has to be for it to be predicted (default: the detectors')")
	return c
}

// judged is what is known of one seed.
type judged struct {
	truth  record.Truth
	ours   []score.Alert
	plain  map[string][]score.Alert
	took   time.Duration
	failed error
}

// judge runs a seed past all who warn.
func judge(d detectors, seed uint64, duration time.Duration, streams int, loss viewer.Loss) (j judged) {
	fail := func(err error) judged { return judged{failed: fmt.Errorf("seed %d: %w", seed, err)} }
	var err error
	if d.dir, err = os.MkdirTemp(d.dir, "seed-"); err != nil {
		return fail(err)
	}
	rec, err := run(seed, duration, streams)
	if err != nil {
		return fail(err)
	}
	j.truth = rec.Truth(loss)
	began := time.Now()
	out, err := d.replay(rec, duration)
	if err != nil {
		return fail(err)
	}
	j.took = time.Since(began)
	if j.ours, err = score.ReadAlerts(bytes.NewReader(out), record.Start); err != nil {
		return fail(err)
	}
	j.plain = map[string][]score.Alert{}
	for _, rule := range []string{baseline.Freeze, baseline.EWMA} {
		capture := rec.Capture(duration)
		j.plain[rule], err = baseline.Alerts(rule, capture, record.Start)
		capture.Close()
		if err != nil {
			return fail(err)
		}
	}
	return j
}

// table prints the figures of all who warn, over the same captures, of which as
// many are made at once as there are processors (GOMAXPROCS).
func table(to io.Writer, detectors detectors, seed uint64, seeds int, duration time.Duration, streams int, loss viewer.Loss) error {
	all := make([]judged, seeds)
	var some sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for n := range all {
		slots <- struct{}{}
		some.Go(func() {
			all[n] = judge(detectors, seed+uint64(n), duration, streams, loss)
			<-slots
		})
	}
	some.Wait()
	var ours score.Table
	plain := map[string]*score.Table{baseline.Freeze: {}, baseline.EWMA: {}}
	var took time.Duration
	for _, j := range all {
		if j.failed != nil {
			return j.failed
		}
		took += j.took
		ours.Add(j.truth, j.ours)
		for rule, t := range plain {
			t.Add(j.truth, j.plain[rule])
		}
	}
	fmt.Fprintf(to, "Seeds %d to %d, %d streams of %v each. Writing the captures and replaying them took %.1f s per hour of capture, %d at once.\n\n",
		seed, seed+uint64(seeds)-1, streams, duration, took.Seconds()/(duration.Hours()*float64(seeds)), cap(slots))
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
