//go:build cgo && customenv

package main

import (
	"image"
	"image/color"
	"strings"

	"gocv.io/x/gocv"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

const jpegQuality = 80

// drawing makes pictures for people.
type drawing struct {
	width  int // at most, in pixels
	scaled gocv.Mat
}

func newDrawing(width int) *drawing { return &drawing{width: width, scaled: gocv.NewMat()} }

func (d *drawing) close() { d.scaled.Close() }

var (
	boxColour  = color.RGBA{R: 255, G: 64, B: 64}
	textColour = color.RGBA{R: 255, G: 255, B: 255}
	backColour = color.RGBA{R: 24, G: 24, B: 24}
)

// encode draws into the frame and returns it as JPEG, which the caller closes.
func (d *drawing) encode(frame *gocv.Mat, marks *wire.Marks) (*gocv.NativeByteBuffer, error) {
	canvas := frame
	if frame.Cols() > d.width {
		height := max(1, frame.Rows()*d.width/frame.Cols())
		gocv.Resize(*frame, &d.scaled, image.Pt(d.width, height), 0, 0, gocv.InterpolationArea)
		canvas = &d.scaled
	}
	if marks != nil {
		mark(canvas, marks)
	}
	return gocv.IMEncodeWithParams(gocv.JPEGFileExt, *canvas, []int{gocv.IMWriteJpegQuality, jpegQuality})
}

func mark(canvas *gocv.Mat, marks *wire.Marks) {
	w, h := float64(canvas.Cols()), float64(canvas.Rows())
	// Text is a 1/30 of the picture's height.
	scale := h / 30 / 22
	thickness := max(1, int(h/360))
	for _, b := range marks.Boxes {
		r := image.Rect(int(b.X*w), int(b.Y*h), int((b.X+b.Width)*w), int((b.Y+b.Height)*h))
		gocv.Rectangle(canvas, r, boxColour, thickness)
		label(canvas, b.Label, r.Min, boxColour, scale, thickness)
	}
	label(canvas, marks.Verdict, image.Pt(0, 0), backColour, scale, thickness)
}

// label writes text on a background, its upper left corner at p, but always
// inside of the picture.
func label(canvas *gocv.Mat, text string, p image.Point, back color.RGBA, scale float64, thickness int) {
	if text == "" {
		return
	}
	text = ascii(text)
	size := gocv.GetTextSize(text, gocv.FontHersheySimplex, scale, thickness)
	margin := size.Y / 2
	box := image.Rect(p.X, p.Y, p.X+size.X+2*margin, p.Y+size.Y+2*margin)
	box = box.Add(image.Pt(min(0, canvas.Cols()-box.Max.X), min(0, canvas.Rows()-box.Max.Y)))
	box = box.Add(image.Pt(max(0, -box.Min.X), max(0, -box.Min.Y)))
	gocv.Rectangle(canvas, box, back, -1)
	gocv.PutTextWithParams(canvas, text, image.Pt(box.Min.X+margin, box.Min.Y+margin+size.Y),
		gocv.FontHersheySimplex, scale, textColour, thickness, gocv.LineAA, false)
}

// ascii replaces what OpenCV's fonts don't have.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
