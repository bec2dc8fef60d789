package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
	"github.com/debugsidecar/debugsidecar/test/stalls/scenario"
	"github.com/debugsidecar/debugsidecar/test/stalls/viewer"
)

// The files of a recording.
const (
	captureFile = "capture.pcap"
	kernelFile  = "kernel.jsonl"
	truthFile   = "truth.json"
)

func generateCommand() *cobra.Command {
	var (
		seed    uint64
		hours   float64
		streams int
		out     string
		freeze  bool
	)
	c := &cobra.Command{
		Use:   "generate",
		Short: "write capture.pcap, kernel.jsonl and truth.json of a seed",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return generate(seed, time.Duration(hours*float64(time.Hour)), streams, lossOf(freeze), out)
		},
	}
	c.Flags().Uint64Var(&seed, "seed", TuningSeeds, "what the scenario is drawn from")
	c.Flags().Float64Var(&hours, "hours", .25, "length of the capture")
	c.Flags().IntVar(&streams, "streams", 20, "video streams in it")
	c.Flags().StringVar(&out, "out", ".", "directory to write to")
	c.Flags().BoolVar(&freeze, "freeze", false, freezeUsage)
	return c
}

const freezeUsage = "the truth is of players that show nothing from a lost packet to the next key frame"

func lossOf(freeze bool) viewer.Loss {
	if freeze {
		return viewer.Freeze
	}
	return viewer.Conceal
}

// run draws a seed's scenario and lets it run.
func run(seed uint64, duration time.Duration, streams int) (record.Recording, error) {
	s, err := scenario.Draw(seed, duration, streams)
	if err != nil {
		return record.Recording{}, err
	}
	return record.Run(s), nil
}

// generate writes a seed's files.
func generate(seed uint64, duration time.Duration, streams int, loss viewer.Loss, out string) error {
	rec, err := run(seed, duration, streams)
	if err != nil {
		return err
	}
	return write(rec, loss, out)
}

// write writes a recording's files.
func write(rec record.Recording, loss viewer.Loss, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for name, write := range map[string]func(io.Writer) error{
		captureFile: func(to io.Writer) error { return rec.WriteCapture(to, rec.Duration()) },
		kernelFile:  func(to io.Writer) error { return rec.WriteKernel(to, rec.Duration()) },
		truthFile:   func(to io.Writer) error { return json.NewEncoder(to).Encode(rec.Truth(loss)) },
	} {
		if err := writeFile(filepath.Join(out, name), write); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return file.Close()
}
