//go:build cgo && customenv

package main

import (
	"image"

	"gocv.io/x/gocv"
)

// locator finds where in a picture its damage is, to a macroblock.
type locator struct{ means, mean, deviation gocv.Mat }

func newLocator() *locator {
	return &locator{means: gocv.NewMat(), mean: gocv.NewMat(), deviation: gocv.NewMat()}
}

func (l *locator) close() {
	for _, m := range []*gocv.Mat{&l.means, &l.mean, &l.deviation} {
		m.Close()
	}
}

const (
	// Slices are whole rows of macroblocks, or nearly. A row counts with most of its
	// cells, and a place with two rows: one is often a line of text.
	rowShare = 0.9
	fewRows  = 2
	// flatDeviation is that of a surface with next to no texture, in grey levels.
	flatDeviation = 6
)

// find returns the rows of a picture that were lost and filled in: grey and green
// are what a decoder takes that has no picture to take from, and whoever encodes
// such a picture anew sends them on. (What ffmpeg itself conceals can't be found in
// the picture: it moves what was there before, and fits it in.)
func (l *locator) find(frame, gray gocv.Mat) image.Rectangle {
	size := image.Pt(gray.Cols()/macroblock, gray.Rows()/macroblock)
	if size.X < 4 || size.Y < 4 {
		return image.Rectangle{}
	}
	rows := l.filled(frame, gray, size)
	return image.Rect(0, rows.Min.Y*gray.Rows()/size.Y, rows.Max.X*gray.Cols(), rows.Max.Y*gray.Rows()/size.Y)
}

// fillings are the colours (blue, green, red) of luma and chroma that are all 128,
// and all 0.
var fillings = [][3]int{{130, 130, 130}, {0, 135, 0}}

func (l *locator) filled(frame, gray gocv.Mat, size image.Point) image.Rectangle {
	gocv.Resize(frame, &l.means, size, 0, 0, gocv.InterpolationArea)
	means, err := l.means.DataPtrUint8()
	if err != nil {
		return image.Rectangle{}
	}
	full := l.rows(size, func(cell int) bool {
		for _, f := range fillings {
			if near(means[3*cell], f[0]) && near(means[3*cell+1], f[1]) && near(means[3*cell+2], f[2]) {
				return true
			}
		}
		return false
	})
	rows := longest(full)
	if rows.Empty() {
		return rows
	}
	// A surface that only has this colour on average has texture.
	band := gray.Region(image.Rect(0, rows.Min.Y*macroblock, gray.Cols(), rows.Max.Y*macroblock))
	defer band.Close()
	gocv.MeanStdDev(band, &l.mean, &l.deviation)
	if l.deviation.GetDoubleAt(0, 0) > flatDeviation {
		return image.Rectangle{}
	}
	return rows
}

func near(v uint8, want int) bool { return int(v) >= want-4 && int(v) <= want+4 }

// rows says of each row whether most of its cells are so.
func (l *locator) rows(size image.Point, is func(cell int) bool) []bool {
	rows := make([]bool, size.Y)
	for y := range rows {
		n := 0
		for x := range size.X {
			if is(y*size.X + x) {
				n++
			}
		}
		rows[y] = float64(n) >= rowShare*float64(size.X)
	}
	return rows
}

// longest returns the longest run of rows that are set, if there are a few.
func longest(rows []bool) (run image.Rectangle) {
	from := 0
	for y := 0; y <= len(rows); y++ {
		if y < len(rows) && rows[y] {
			continue
		}
		if y-from >= fewRows && y-from > run.Dy() {
			run = image.Rect(0, from, 1, y)
		}
		from = y + 1
	}
	return run
}
