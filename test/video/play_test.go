package video_test

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

// patience is how long anything may take on a busy machine.
const patience = time.Minute

// play runs a capture until the test ends, and then looks for what it left. A test
// has one: what another one is doing meanwhile looks like a leak.
func play(t *testing.T, o capture.Options) *capture.Capture {
	t.Helper()
	worker := needs(t)
	before := openFiles(t)
	leaks := goleak.IgnoreCurrent()
	o.Worker = worker
	if o.RetryFrom == 0 {
		o.RetryFrom, o.RetryTo = 50*time.Millisecond, 200*time.Millisecond
	}
	o.BreakAfter = 1000
	if o.OpenTimeout == 0 {
		o.OpenTimeout = 30 * time.Second
	}
	c, err := capture.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		goleak.VerifyNone(t, leaks)
		// The peers' ends, which are in this process, close when they notice.
		after := openFiles(t)
		for end := time.Now().Add(10 * time.Second); after > before && time.Now().Before(end); after = openFiles(t) {
			runtime.GC() // net keeps pipes for splicing until then
			time.Sleep(10 * time.Millisecond)
		}
		if after > before {
			t.Errorf("%d files are open, %d were before", after, before)
		}
		if pids := workers(t); len(pids) > 0 {
			t.Errorf("workers %v are left", pids)
		}
		if t.Failed() {
			t.Logf("%+v", c.Snapshot())
		}
	})
	return c
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// await waits for a snapshot of which is says yes.
func await(t *testing.T, c *capture.Capture, what string, is func(capture.Snapshot) bool) capture.Snapshot {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s := c.Snapshot(); is(s) {
			return s
		}
	}
	t.Fatalf("never %s: %+v", what, c.Snapshot())
	return capture.Snapshot{}
}

func frames(n uint64) func(capture.Snapshot) bool {
	return func(s capture.Snapshot) bool { return s.State == capture.Playing && s.Frames >= n }
}

// picture waits for a picture and decodes it.
func picture(t *testing.T, c *capture.Capture, after uint64) (image.Image, uint64) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if b, number, ok := c.Picture(after); ok {
			img, err := jpeg.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatalf("picture %d: %v", number, err)
			}
			return img, number
		}
	}
	t.Fatalf("no picture: %+v", c.Snapshot())
	return nil, 0
}

func camera(t *testing.T, user string) *peer.Server {
	t.Helper()
	needs(t)
	s, err := peer.RTSP(peer.Pattern(640, 360), user, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func checkPlays(t *testing.T, c *capture.Capture, o capture.Options) {
	t.Helper()
	c.WantPictures(true)
	s := await(t, c, "60 frames", frames(60))
	if s.Width != 640 || s.Height != 360 || s.Sessions != 1 || s.Restarts != 0 || s.Cause != "" {
		t.Errorf("%+v", s)
	}
	if s.FPS < 25 || s.FPS > 35 || s.Newest <= 0 || s.NewestAt == 0 || s.Decode <= 0 || s.WorkerBytes <= 0 {
		t.Errorf("%+v", s)
	}
	// All peers send a key frame each second. One that was skipped, before frames
	// are in order, makes the first group longer.
	await(t, c, "a group of 30 pictures", func(s capture.Snapshot) bool {
		off := s.GOP - time.Second
		return s.GOPFrames == 30 && off.Abs() < 40*time.Millisecond && s.Keys >= 2 && s.KeyAt > 0 && s.KeyAt <= s.NewestAt
	})
	img, first := picture(t, c, 0)
	if img.Bounds().Dx() != 640 || img.Bounds().Dy() != 360 {
		t.Errorf("the picture is %v", img.Bounds())
	}
	if _, second := picture(t, c, first); second <= first {
		t.Errorf("picture %d after %d", second, first)
	}
}

func TestRTSPIsPlayed(t *testing.T) {
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			o := capture.Options{Source: camera(t, "").URL, Transport: transport}
			checkPlays(t, play(t, o), o)
		})
	}
}

func TestFLVOverHTTPIsPlayed(t *testing.T) {
	needs(t)
	s, err := peer.FLV(640, 360)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	o := capture.Options{Source: s.URL}
	checkPlays(t, play(t, o), o)
}

func TestFileIsPlayedToItsEndAtItsPace(t *testing.T) {
	needs(t)
	path := filepath.Join(t.TempDir(), "clip.mp4")
	if err := peer.Clip(path, 640, 360, 3); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	c := play(t, capture.Options{Source: path, Local: true, Mode: capture.Always})
	s := await(t, c, "over", func(s capture.Snapshot) bool { return s.State == capture.Closed && s.Frames > 0 })
	if s.Frames+s.Late < 88 || s.Frames > 90 || s.Restarts != 0 || s.Why != "the file is over" {
		t.Errorf("%+v", s)
	}
	if took := time.Since(started); took < 2900*time.Millisecond {
		t.Errorf("3 s of video took %v", took)
	}
}

// The child's pictures and records cost the probe no memory: what is left is its
// timers' and the scheduler's.
func TestPlayingCostsTheProbeNoAllocation(t *testing.T) {
	c := play(t, capture.Options{Source: camera(t, "").URL})
	c.WantPictures(true)
	await(t, c, "30 frames", frames(30))
	_, number := picture(t, c, 0)
	const n = 150
	var before, after runtime.MemStats
	end := c.Snapshot().Frames + n
	runtime.ReadMemStats(&before)
	for taken := 0; c.Snapshot().Frames < end || taken < n/4; time.Sleep(10 * time.Millisecond) {
		if _, newer, ok := c.Picture(number); ok {
			number = newer
			taken++
		}
	}
	runtime.ReadMemStats(&after)
	if perFrame := float64(after.Mallocs-before.Mallocs) / n; perFrame > 0.2 {
		t.Errorf("%.2f allocations a frame", perFrame)
	}
}

func TestDamageShowsAsErrorsAndArtefacts(t *testing.T) {
	needs(t)
	dir := t.TempDir()
	whole, broken := filepath.Join(dir, "whole.mp4"), filepath.Join(dir, "broken.mp4")
	if err := peer.Clip(whole, 640, 360, 4); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ffmpeg", "-loglevel", "error", "-i", whole, "-c", "copy", "-bsf:v", "noise=amount=3000", broken).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	for path, damaged := range map[string]bool{whole: false, broken: true} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c := play(t, capture.Options{Source: path, Local: true, Mode: capture.Always, CheckEvery: 50 * time.Millisecond})
			s := await(t, c, "over", func(s capture.Snapshot) bool { return s.State == capture.Closed && s.Frames > 0 })
			if s.Checked < 20 || (s.Errors > 0) != damaged {
				t.Errorf("damaged: %v; %+v", damaged, s)
			}
			if damaged && s.Artefacts == 0 {
				t.Errorf("no artefacts: %+v", s)
			}
		})
	}
}

// A file of nothing but frames has no times, and neither has a stream of it.
func TestSourceWithoutTimesIsPlayed(t *testing.T) {
	needs(t)
	path := filepath.Join(t.TempDir(), "clip.h264")
	if err := peer.Clip(path, 640, 360, 4); err != nil {
		t.Fatal(err)
	}
	url, stop, err := peer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	s := awaitFault(t, play(t, impatient(url+"/clip.h264")), capture.Camera, "ended the stream")
	if s.Frames < 115 || s.Frames > 120 || s.Newest <= 0 {
		t.Errorf("%+v", s)
	}
}

// What is not closed in C++ is memory that no collector frees.
func TestWorkerDoesNotGrow(t *testing.T) {
	c := play(t, capture.Options{Source: camera(t, "").URL, PictureEvery: time.Nanosecond, CheckEvery: time.Nanosecond})
	c.WantPictures(true)
	weight := func(n uint64) int64 { return await(t, c, "frames", frames(n)).WorkerBytes }
	first := weight(90)
	if grown := weight(360) - first; grown > 20<<20 { // a Mat a frame would be 180 MiB
		t.Errorf("it grew from %d MiB by %d MiB in 270 frames", first>>20, grown>>20)
	}
}

// The worker's own tests take OpenCV, so they are run with its flags, and with
// its count of Mats.
func TestTheWorkersOwnTestsPass(t *testing.T) {
	needs(t)
	out, err := exec.Command("go", "run", "github.com/debugsidecar/debugsidecar/sidecar/capture/worker/build", "-test", "-tags", "matprofile").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
