//go:build cgo && customenv

package main

import (
	"bytes"
	"image/color"
	"image/jpeg"
	"math"
	"testing"

	"gocv.io/x/gocv"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// picture draws marks into a grey frame and returns what colour is where.
func picture(t *testing.T, width, height, most int, marks *wire.Marks) (at func(x, y float64) color.RGBA, w, h int) {
	t.Helper()
	frame := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(128, 128, 128, 0), height, width, gocv.MatTypeCV8UC3)
	defer frame.Close()
	d := newDrawing(most)
	defer d.close()
	buffer, err := d.encode(&frame, marks)
	if err != nil {
		t.Fatal(err)
	}
	defer buffer.Close()
	img, err := jpeg.Decode(bytes.NewReader(buffer.GetBytes()))
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	return func(x, y float64) color.RGBA {
		return color.RGBAModel.Convert(img.At(int(x*float64(b.Dx())), int(y*float64(b.Dy())))).(color.RGBA)
	}, b.Dx(), b.Dy()
}

func red(c color.RGBA) bool { return int(c.R) > int(c.G)+60 }
func grey(c color.RGBA) bool {
	return math.Abs(float64(c.R)-128) < 12 && math.Abs(float64(c.G)-128) < 12
}

func TestBoxesAndVerdictAreWhereTheyShouldBe(t *testing.T) {
	marks := &wire.Marks{Verdict: "poor: network", Boxes: []wire.Box{{X: 0.5, Y: 0.5, Width: 0.25, Height: 0.25, Label: "gate"}}}
	at, w, h := picture(t, 1280, 720, 1280, marks)
	if w != 1280 || h != 720 {
		t.Errorf("the picture is %dx%d", w, h)
	}
	for name, side := range map[string][2]float64{"left": {0.5, 0.7}, "right": {0.75, 0.7}, "lower": {0.7, 0.75}} {
		if !red(at(side[0], side[1])) {
			t.Errorf("its %s side is %v", name, at(side[0], side[1]))
		}
	}
	if c := at(0.65, 0.65); !grey(c) {
		t.Errorf("inside of the box it is %v", c)
	}
	if c := at(0.002, 0.004); c.R > 60 {
		t.Errorf("the verdict's background is %v", c)
	}
	if c := at(0.9, 0.9); !grey(c) {
		t.Errorf("elsewhere it is %v", c)
	}
}

func TestWidePicturesAreScaledAndNarrowOnesAreNot(t *testing.T) {
	for _, test := range [][4]int{{3840, 2160, 1280, 720}, {640, 360, 640, 360}, {2000, 1, 1280, 1}} {
		if _, w, h := picture(t, test[0], test[1], 1280, nil); w != test[2] || h != test[3] {
			t.Errorf("%dx%d became %dx%d", test[0], test[1], w, h)
		}
	}
}

// Marks at the edges and texts of any length are drawn without harm.
func TestMarksOfAnyShapeAreDrawn(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), 120))
	for _, size := range [][2]int{{1280, 720}, {64, 48}, {17, 2000}} {
		picture(t, size[0], size[1], 1280, &wire.Marks{Verdict: long, Boxes: []wire.Box{
			{}, {X: 1, Y: 1, Label: long}, {Width: 1, Height: 1, Label: "日本語\x00"}, {X: 0.99, Y: 0.01, Width: 0.01, Height: 0.99, Label: long},
		}})
	}
}
