package video_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/debugsidecar/debugsidecar/test/video"
	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

// worker is the capture worker's path; empty, with skip, where it can't be built.
var worker, skip string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if skip = peer.Missing(); skip != "" {
		skip = "this needs Debian's " + skip
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "video")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if worker, err = video.Worker(dir); err != nil {
		skip = err.Error()
	}
	return m.Run()
}
