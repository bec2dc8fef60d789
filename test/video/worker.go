// Package video plays real video through the capture worker, with faults:
// GStreamer's RTSP server and ffmpeg are the cameras, on loopback.
package video

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Missing names Debian's packages without which no worker can be built.
func Missing() string {
	if _, err := os.Stat("/usr/include/opencv4"); err != nil {
		return " libopencv-{core,imgproc,imgcodecs,videoio,highgui,video,calib3d,objdetect,dnn,photo,features2d,stitching}-dev"
	}
	return ""
}

// Worker builds the capture worker into dir and returns its path.
func Worker(dir string) (string, error) {
	path := filepath.Join(dir, "debugsidecar-capture")
	out, err := exec.Command("go", "run", "github.com/debugsidecar/debugsidecar/sidecar/capture/worker/build", "-o", path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}
