package video_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/debugsidecar/debugsidecar/test/video"
	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

// dir is where the worker is built, when the first test needs it.
var dir string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if dir, err = os.MkdirTemp("", "video"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	return m.Run()
}

var worker = sync.OnceValues(func() (string, error) { return video.Worker(dir) })

// needs skips a test where there are no peers or no OpenCV. It returns the
// worker's path.
func needs(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("real video takes minutes")
	}
	if missing := peer.Missing() + video.Missing(); missing != "" {
		t.Skip("this needs Debian's " + missing)
	}
	path, err := worker()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
