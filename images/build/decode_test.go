package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A runtime gives a container /proc and some of /dev; the script does the same, in
// namespaces that end with it, runs the probe as the image's user, and asks it for
// its metrics.
const probeInImage = `
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/dev"
mknod -m 666 "$0/dev/null" c 1 3
mknod -m 666 "$0/dev/urandom" c 1 9
ip link set lo up
timeout 20 chroot --userspec=65532:65532 "$0" /usr/bin/sidecar video-probe --source /tmp/clip.mp4 --open always 2>&1 &
for try in $(seq 30); do
	sleep 0.5
	if curl -s http://127.0.0.1:9400/metrics | grep -E '^debugsidecar_capture_frames_total.* [1-9]'; then exit; fi
done
`

func TestTheSidecarDecodesVideoInItsImage(t *testing.T) {
	root := rootOf(t, Sidecar)
	for _, program := range []string{"ffmpeg", "unshare", "ip", "curl", "chroot", "mknod"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	for _, dir := range []string{"proc", "dev"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(root, "run/debugsidecar"), nonRoot, nonRoot); err != nil {
		t.Fatal(err)
	}
	clip := exec.CommandContext(t.Context(), "ffmpeg", strings.Fields("-v error -f lavfi -i testsrc=size=320x240:rate=25 -t 8 -c:v libx264 -pix_fmt yuv420p")...)
	clip.Args = append(clip.Args, filepath.Join(root, "tmp/clip.mp4"))
	if err := run(clip); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", probeInImage, root).CombinedOutput()
	if !regexp.MustCompile(`(?m)^debugsidecar_capture_frames_total.* [1-9]`).Match(out) {
		t.Errorf("no picture was decoded: %v\n%s", err, out)
	}
}
