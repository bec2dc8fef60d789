//go:build cgo && customenv

package main

import (
	"image"
	"slices"

	"gocv.io/x/gocv"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// checker looks at pictures. Each is a crude measure, of few frames: enough to
// tell a person where to look.
type checker struct {
	gray, small, last, difference, mean, deviation, line gocv.Mat

	ratios []float32
	places *locator
}

func newChecker() *checker {
	return &checker{
		gray: gocv.NewMat(), small: gocv.NewMat(), last: gocv.NewMat(), difference: gocv.NewMat(),
		mean: gocv.NewMat(), deviation: gocv.NewMat(), line: gocv.NewMat(), places: newLocator(),
	}
}

func (c *checker) close() {
	for _, m := range []*gocv.Mat{&c.gray, &c.small, &c.last, &c.difference, &c.mean, &c.deviation, &c.line} {
		m.Close()
	}
	c.places.close()
}

// locate says where the picture that was checked last is damaged, as shares of it;
// filled is false where that can't be told.
func (c *checker) locate(frame gocv.Mat) (place wire.Box, filled bool) {
	r := c.places.find(frame, c.gray)
	if r.Empty() {
		return wire.Box{}, false
	}
	w, h := float64(frame.Cols()), float64(frame.Rows())
	return wire.Box{X: float64(r.Min.X) / w, Y: float64(r.Min.Y) / h, Width: float64(r.Dx()) / w, Height: float64(r.Dy()) / h}, true
}

const (
	// A picture is black when its luma is, everywhere, of 255.
	blackMean, blackDeviation = 16, 4
	// It is frozen when next to nothing changed since the last check, in grey
	// levels, on average: the noise of a camera alone is more. A scene that stands
	// still and is encoded at a low bit rate looks frozen as well.
	frozenDifference = 0.02
	// blockyPicture is the blockiness from which on a picture has artefacts; see
	// TestBlockinessTellsStarvedPicturesFromGoodOnes.
	blockyPicture = 2
	// faintStep is a steepness in grey levels that nobody sees; it keeps plain
	// surfaces from being compared.
	faintStep = 0.5
	// macroblock is the side of those of H.264, in pixels.
	macroblock = 16
)

func (c *checker) check(frame gocv.Mat) (black, frozen, artefacts bool, blockiness float32) {
	gocv.CvtColor(frame, &c.gray, gocv.ColorBGRToGray)
	gocv.Resize(c.gray, &c.small, image.Pt(320, 180), 0, 0, gocv.InterpolationArea)
	gocv.MeanStdDev(c.small, &c.mean, &c.deviation)
	black = c.mean.GetDoubleAt(0, 0) < blackMean && c.deviation.GetDoubleAt(0, 0) < blackDeviation
	if !c.last.Empty() {
		pixels := float64(c.small.Rows() * c.small.Cols())
		frozen = gocv.NormWithMats(c.small, c.last, gocv.NormL1)/pixels < frozenDifference
	}
	c.small, c.last = c.last, c.small
	blockiness = c.blockiness()
	// In a black picture there is nothing to see, only rounding.
	return black, frozen, !black && blockiness > blockyPicture, blockiness
}

// blockiness is how much steeper the picture is across the borders of
// macroblocks than around them, the larger of both directions; of all borders
// the median, so that edges which lie there by chance don't count. (After Wang,
// Sheikh, Bovik: No-reference perceptual quality assessment of JPEG compressed
// images, 2002, which takes 8 pixels.) A picture of too few bits has such
// edges, and sometimes one with lost slices that were concealed.
func (c *checker) blockiness() float32 {
	w, h := c.gray.Cols(), c.gray.Rows()
	if w < 3*macroblock || h < 3*macroblock {
		return 0
	}
	across := c.steepness(image.Rect(0, 0, w-1, h), image.Rect(1, 0, w, h), 0)
	down := c.steepness(image.Rect(0, 0, w, h-1), image.Rect(0, 1, w, h), 1)
	return max(across, down)
}

func (c *checker) steepness(a, b image.Rectangle, dimension int) float32 {
	first, second := c.gray.Region(a), c.gray.Region(b)
	defer first.Close()
	defer second.Close()
	gocv.AbsDiff(first, second, &c.difference)
	gocv.Reduce(c.difference, &c.line, dimension, gocv.ReduceAvg, gocv.MatTypeCV32F)
	steps, err := c.line.DataPtrFloat32()
	if err != nil {
		return 0
	}
	ratios := c.ratios[:0]
	for i := macroblock - 1; i+macroblock/2 < len(steps); i += macroblock {
		var inside float32
		for _, v := range steps[i-macroblock/2 : i] {
			inside += v
		}
		for _, v := range steps[i+1 : i+macroblock/2] {
			inside += v
		}
		inside /= macroblock - 1
		ratios = append(ratios, (steps[i]+faintStep)/(inside+faintStep))
	}
	c.ratios = ratios
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}
