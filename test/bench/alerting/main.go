// alerting measures the time from a dropped packet until somebody is told:
// pushed by the sidecar, and scraped by Prometheus, both in one run and through
// the same Alertmanager.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/test/alerting"
)

func main() {
	intervals := flag.String("intervals", "1s,15s", "of scrapes and rules, one run each")
	rounds := flag.Int("rounds", 5, "alerts in a run")
	live := flag.Bool("live", true, "measure the sidecar with real packets; takes root. Else only what comes after the detectors")
	file := flag.String("o", "", "also write the table to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, strings.Split(*intervals, ","), *live, *rounds, *file); err != nil {
		fmt.Fprintln(os.Stderr, "alerting:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, intervals []string, live bool, rounds int, file string) error {
	if rounds < 1 {
		return fmt.Errorf("rounds must be at least 1")
	}
	note := func(s string) { fmt.Fprintln(os.Stderr, s) }
	programs, err := alerting.Fetch(ctx, note)
	if err != nil {
		return err
	}
	var table strings.Builder
	since := "an alert's own time"
	if live {
		since = "the first packet that a socket drops"
	}
	fmt.Fprintf(&table, "time from %s until a webhook is told; %d alerts at random moments\n", since, rounds)
	for _, text := range intervals {
		interval, err := time.ParseDuration(text)
		if err != nil || interval <= 0 {
			return fmt.Errorf("interval %q is no time", text)
		}
		took, err := alerting.Measure(ctx, programs, live, interval, rounds, note)
		if err != nil {
			return err
		}
		fmt.Fprintf(&table, "\nscraped and evaluated every %v %35s %10s %10s\n", interval, "least", "median", "most")
		for _, way := range alerting.Ways {
			list := took[way]
			fmt.Fprintf(&table, "  %-60s %10s %10s %10s\n", way, show(list[0]), show(list[len(list)/2]), show(list[len(list)-1]))
		}
	}
	var out io.Writer = os.Stdout
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		out = io.MultiWriter(os.Stdout, f)
	}
	_, err = io.WriteString(out, table.String())
	return err
}

func show(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
