package diagnose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// placeFindings tell of what the container gives the probe.
func placeFindings(ctx context.Context, runDir, worker string, try TryWorker) []Finding {
	const group = "place"
	run := Finding{Group: group, Name: "run directory", State: OK, Found: runDir + " is writable"}
	if err := writable(runDir); err != nil {
		run.State, run.Found = Limited, err.Error()
		run.Costs, run.Takes = "kubectl debugsidecar open: it finds no token", "an emptyDir mounted at "+runDir
	}
	capture := Finding{Group: group, Name: "capture", State: OK}
	found, err := findWorker(ctx, worker, try)
	if err != nil {
		capture.State, capture.Found = Limited, err.Error()
		capture.Costs = "the live picture, and all that is known only of decoded frames"
		capture.Takes = "the image with the capture program, or --worker"
	} else {
		capture.Found = found
	}
	return []Finding{run, capture}
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor")
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return fmt.Errorf("%s: %w", dir, path.Err)
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// TryWorker starts the capture program at a path and returns what it said of
// itself.
type TryWorker func(ctx context.Context, path string) (string, error)

func findWorker(ctx context.Context, worker string, try TryWorker) (string, error) {
	if worker == "" {
		return "", errors.New("there is no capture program")
	}
	path, err := exec.LookPath(worker)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("the capture program: %w", err)
	}
	if try == nil {
		return path + " is there; it was not tried", nil
	}
	said, err := try(ctx, path)
	if err != nil {
		return "", fmt.Errorf("the capture program %s does not start: %w", path, err)
	}
	return path + " starts: " + said, nil
}
