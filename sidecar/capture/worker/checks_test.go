//go:build cgo && customenv

package main

import (
	"image"
	"image/color"
	"os/exec"
	"path/filepath"
	"testing"

	"gocv.io/x/gocv"
)

// clip makes a video of lavfi's source and returns its path. Encoder options
// are x264's.
func clip(t *testing.T, source string, options ...string) string {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("this needs Debian's ffmpeg")
	}
	path := filepath.Join(t.TempDir(), "clip.h264")
	args := append([]string{"-loglevel", "error", "-f", "lavfi", "-i", source, "-frames:v", "90", "-pix_fmt", "yuv420p", "-c:v", "libx264"}, options...)
	if out, err := exec.Command("ffmpeg", append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return path
}

// shares plays a clip and returns the shares of frames that each check finds,
// and the mean blockiness.
func shares(t *testing.T, path string, step int) (black, frozen, artefacts, blockiness float64) {
	t.Helper()
	capture, err := gocv.VideoCaptureFileWithAPI(path, gocv.VideoCaptureFFmpeg)
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	frame, c := gocv.NewMat(), newChecker()
	defer frame.Close()
	defer c.close()
	n := 0.0
	for i := 0; capture.Read(&frame); i++ {
		if i%step != 0 {
			continue
		}
		n++
		b, f, a, much := c.check(frame)
		for _, v := range []struct {
			sum *float64
			is  bool
		}{{&black, b}, {&frozen, f}, {&artefacts, a}} {
			if v.is {
				*v.sum++
			}
		}
		blockiness += float64(much)
	}
	if n == 0 {
		t.Fatal("no frames")
	}
	return black / n, frozen / n, artefacts / n, blockiness / n
}

// natural is the nearest to a camera's picture that a generator has: shapes of
// all sizes that move, and a sensor's noise.
const natural = "mandelbrot=size=640x360:rate=30:start_scale=0.5:end_scale=0.001,noise=alls=6:allf=t"

func TestBlackAndFrozenPicturesAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		source        string
		black, frozen bool
	}{
		"natural":       {natural, false, false},
		"black":         {"color=black:size=640x360:rate=30", true, true},
		"noisy black":   {"color=black:size=640x360:rate=30,noise=alls=4:allf=t", true, false},
		"still":         {"color=gray:size=640x360:rate=30,drawgrid", false, true},
		"dark scene":    {"color=black:size=640x360:rate=30,drawbox=x=100:y=100:w=200:h=200:color=gray:t=fill,noise=alls=8:allf=t", false, false},
		"moving detail": {"color=gray:size=640x360:rate=30,noise=alls=3:allf=t", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			black, frozen, _, _ := shares(t, clip(t, test.source, "-preset", "ultrafast", "-crf", "20"), 15)
			if (black > 0.5) != test.black || (frozen > 0.5) != test.frozen {
				t.Errorf("black %.2f, frozen %.2f", black, frozen)
			}
		})
	}
}

// Blockiness finds an encoder that has too few bits. Loss that the decoder
// concealed it mostly does not: ffmpeg copies from the picture before. The
// probe knows of that by the decoder's errors.
func TestBlockinessTellsStarvedPicturesFromGoodOnes(t *testing.T) {
	for _, test := range []struct {
		name, preset, rate string
		artefacts          bool
	}{
		{"enough bits", "veryfast", "1M", false},
		{"enough bits, encoder at its fastest", "ultrafast", "1M", false},
		{"starved", "ultrafast", "60k", true},
	} {
		_, _, artefacts, blockiness := shares(t, clip(t, natural, "-preset", test.preset, "-b:v", test.rate, "-g", "30"), 5)
		t.Logf("%s: artefacts in %.0f %% of frames, blockiness %.2f", test.name, 100*artefacts, blockiness)
		if test.artefacts && artefacts < 0.5 || !test.artefacts && artefacts > 0.05 {
			t.Errorf("%s: artefacts in %.0f %% of frames", test.name, 100*artefacts)
		}
	}
}

// Test pictures are no natural ones: few edges, which may lie anywhere.
func TestPlainSurfacesAreNoArtefact(t *testing.T) {
	for _, source := range []string{
		"color=black:size=640x360:rate=30,drawbox=x=160:y=160:w=32:h=32:color=white:t=fill",
		"smptebars=size=640x360:rate=30",
		"color=gray:size=640x360:rate=30",
	} {
		if _, _, artefacts, blockiness := shares(t, clip(t, source, "-preset", "ultrafast", "-b:v", "1M"), 5); artefacts > 0 {
			t.Errorf("%s: artefacts in %.0f %% of frames, blockiness %.2f", source, 100*artefacts, blockiness)
		}
	}
}

func TestOnePlainColourIsNoArtefact(t *testing.T) {
	frame := gocv.NewMatWithSize(720, 1280, gocv.MatTypeCV8UC3)
	defer frame.Close()
	c := newChecker()
	defer c.close()
	gocv.Rectangle(&frame, image.Rect(0, 0, 1280, 720), color.RGBA{R: 80, G: 80, B: 80}, -1)
	if _, _, artefacts, blockiness := c.check(frame); artefacts || blockiness != 1 {
		t.Errorf("blockiness %v", blockiness)
	}
}
