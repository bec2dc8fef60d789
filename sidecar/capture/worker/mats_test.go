//go:build cgo && customenv && matprofile

package main

import (
	"testing"

	"gocv.io/x/gocv"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// OpenCV's memory is not Go's: what is not closed stays.
func TestFramesLeaveNoMats(t *testing.T) {
	before := gocv.MatProfile.Count()
	frame, c, d := gocv.NewMatWithSize(720, 1600, gocv.MatTypeCV8UC3), newChecker(), newDrawing(1280)
	marks := &wire.Marks{Verdict: "poor: network", Boxes: []wire.Box{{X: 0.1, Y: 0.1, Width: 0.5, Height: 0.5, Label: "kein Bild für dich"}}}
	each := func() {
		c.check(frame)
		picture, err := d.encode(&frame, marks)
		if err != nil {
			t.Fatal(err)
		}
		picture.Close()
	}
	each()
	open := gocv.MatProfile.Count()
	for range 100 {
		each()
	}
	if n := gocv.MatProfile.Count(); n != open {
		t.Errorf("100 frames left %d Mats", n-open)
	}
	frame.Close()
	c.close()
	d.close()
	if n := gocv.MatProfile.Count(); n != before {
		t.Errorf("%d Mats are left", n-before)
	}
}
