package main

import (
	"bufio"
	"os"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/test/stalls/baseline"
	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/score"
)

func baselineCommand() *cobra.Command {
	var rule string
	c := &cobra.Command{
		Use:   "baseline FILE.pcap",
		Short: "print what a plain rule raises over a capture, as sidecar replay would",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			alerts, err := baseline.Alerts(rule, file, record.Start)
			if err != nil {
				return err
			}
			w := bufio.NewWriter(c.OutOrStdout())
			for _, a := range alerts {
				if err := score.WriteAlert(w, a, record.Start); err != nil {
					return err
				}
			}
			return w.Flush()
		},
	}
	c.Flags().StringVar(&rule, "rule", baseline.Freeze, "freeze or ewma")
	return c
}
