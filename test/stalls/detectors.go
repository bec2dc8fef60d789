package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/debugsidecar/debugsidecar/test/stalls/record"
)

// detectors is sidecar replay.
type detectors struct {
	sidecar string
	dir     string // for what it needs as a file
	// packetsOnly keeps from it what the kernel said of the sockets.
	packetsOnly bool
	// confidence is how likely a stall has to be for it to be predicted; 0: theirs.
	confidence float64
}

// findDetectors builds the sidecar, unless one is given. It has to be run within
// the module then.
func findDetectors(sidecar string) (detectors, error) {
	dir, err := os.MkdirTemp("", "stalls-")
	if err != nil {
		return detectors{}, err
	}
	d := detectors{sidecar: sidecar, dir: dir}
	if sidecar != "" {
		return d, nil
	}
	d.sidecar = filepath.Join(dir, "sidecar")
	build := exec.Command("go", "build", "-o", d.sidecar, "github.com/debugsidecar/debugsidecar/sidecar")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		d.close()
		return detectors{}, fmt.Errorf("building the sidecar: %w", err)
	}
	return d, nil
}

func (d detectors) close() { os.RemoveAll(d.dir) }

// replay returns the alerts, JSON lines, over a recording up to a time.
func (d detectors) replay(rec record.Recording, until time.Duration) ([]byte, error) {
	args := []string{"replay", "-", "--json"}
	if d.confidence > 0 {
		args = append(args, "--confidence", fmt.Sprint(d.confidence))
	}
	if !d.packetsOnly {
		kernel := filepath.Join(d.dir, kernelFile)
		if err := writeFile(kernel, func(to io.Writer) error { return rec.WriteKernel(to, until) }); err != nil {
			return nil, err
		}
		args = append(args, "--kernel", kernel)
	}
	capture := rec.Capture(until)
	defer capture.Close()
	c := exec.Command(d.sidecar, args...)
	c.Stdin = capture
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("sidecar replay: %w", err)
	}
	return out, nil
}
