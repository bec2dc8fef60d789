// Package video plays real video through the capture worker, with faults:
// GStreamer's RTSP server and ffmpeg are the cameras, on loopback.
package video

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Worker builds the capture worker into dir and returns its path.
func Worker(dir string) (string, error) {
	path := filepath.Join(dir, "debugsidecar-capture")
	out, err := exec.Command("go", "run", "github.com/debugsidecar/debugsidecar/sidecar/capture/worker/build", "-o", path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}
