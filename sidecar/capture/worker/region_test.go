//go:build cgo && customenv

package main

import (
	"image"
	"runtime"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

func TestFilledRowsAreLocated(t *testing.T) {
	for name, colour := range map[string]gocv.Scalar{"grey": gocv.NewScalar(130, 130, 130, 0), "green": gocv.NewScalar(0, 135, 0, 0)} {
		frame, c := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(40, 90, 200, 0), 720, 1280, gocv.MatTypeCV8UC3), newChecker()
		gocv.Rectangle(&frame, image.Rect(100, 50, 900, 650), boxColour, -1)
		part := frame.Region(image.Rect(0, 320, 1280, 480))
		part.SetTo(colour)
		part.Close()
		c.check(frame)
		if box, filled := c.locate(frame); !filled || box != (wire.Box{Y: 320. / 720, Width: 1, Height: 160. / 720}) {
			t.Errorf("%s: %v %+v", name, filled, box)
		}
		frame.Close()
		c.close()
	}
}

func TestWholePicturesHaveNoFilledRows(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for name, source := range map[string]string{
		"moving": "testsrc2=size=1280x720:rate=30", "bars": "smptehdbars=size=1280x720:rate=30",
		"static": "testsrc=size=1280x720:rate=1", "grey scale": "gradients=size=1280x720:rate=30:c0=black:c1=white",
		"dark": "color=c=0x101010:size=1280x720:rate=30",
	} {
		capture, err := gocv.VideoCaptureFileWithAPI(clip(t, source, "-preset", "ultrafast", "-frames:v", "30"), gocv.VideoCaptureFFmpeg)
		if err != nil {
			t.Fatal(err)
		}
		frame, c := gocv.NewMat(), newChecker()
		n := 0
		var locating time.Duration
		for ; capture.Read(&frame); n++ {
			c.check(frame)
			began := threadTime()
			if box, filled := c.locate(frame); filled {
				t.Errorf("%s, picture %d: %+v", name, n, box)
			}
			locating += threadTime() - began
		}
		if n == 0 {
			t.Errorf("%s: no frames", name)
			continue
		}
		t.Logf("%s: %d pictures of 720p, each located in %v of the processor", name, n, locating/time.Duration(n))
		frame.Close()
		c.close()
		capture.Close()
	}
}
