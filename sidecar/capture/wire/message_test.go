package wire_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

func TestOrderComesBackAsItWas(t *testing.T) {
	on := true
	for _, o := range []wire.Order{
		{},
		{Pictures: &on},
		{Open: &wire.Open{Source: "rtsp://u:p@h/1", Transport: "udp", Timeout: time.Second, Late: 1, CheckEvery: 1, PictureWidth: 640}},
		{Marks: &wire.Marks{Verdict: "poor: network", Boxes: []wire.Box{{X: .1, Y: .2, Width: .3, Height: .4, Label: "gate"}}}},
	} {
		b, err := wire.MarshalOrder(o)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := wire.ParseOrder(b); err != nil || !reflect.DeepEqual(back, o) {
			t.Errorf("%+v became %+v (%v)", o, back, err)
		}
	}
}

func TestOrderWithoutLimitsIsRefused(t *testing.T) {
	for _, text := range []string{"", "[]", `{"open":{"source":"x"}}`, `{"open":{"timeout":-1}}`, `{"open":{"timeout":1,"late":1,"checkEvery":1,"pictureWidth":1000000}}`} {
		if o, err := wire.ParseOrder([]byte(text)); err == nil {
			t.Errorf("%s is %+v", text, o)
		}
	}
}

// Whatever is to be marked, it fits into a message and lies in the picture.
func TestMarksFitIntoTheMessageAndThePicture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), -1, 0, 0.5, 1, 2}))
		m := wire.Marks{Verdict: rapid.String().Draw(t, "verdict") + strings.Repeat("é", rapid.IntRange(0, 300).Draw(t, "long"))}
		for range rapid.IntRange(0, 100).Draw(t, "boxes") {
			m.Boxes = append(m.Boxes, wire.Box{
				X: side.Draw(t, "x"), Y: side.Draw(t, "y"), Width: side.Draw(t, "width"), Height: side.Draw(t, "height"),
				Label: strings.Repeat("<", rapid.IntRange(0, 300).Draw(t, "label")),
			})
		}
		b, err := wire.MarshalOrder(wire.Order{Marks: &m})
		if err != nil {
			t.Fatal(err)
		}
		o, err := wire.ParseOrder(b)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(o.Marks.Verdict) {
			t.Fatalf("%q", o.Marks.Verdict)
		}
		for _, b := range o.Marks.Boxes {
			if !(b.X >= 0 && b.Y >= 0 && b.Width >= 0 && b.Height >= 0 && b.X+b.Width <= 1 && b.Y+b.Height <= 1) {
				t.Fatalf("%+v", b)
			}
		}
	})
}

func FuzzParseReport(f *testing.F) {
	for _, r := range []wire.Report{{State: wire.Playing}, {State: wire.Failed, Cause: wire.Camera, Why: "no such stream"}} {
		b, err := wire.MarshalReport(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"state":"failed","why":"\u001b[31mred\u0000\ufffd"}`))
	f.Add([]byte(`{"state":"failed","cause":"elves"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := wire.ParseReport(b)
		if err != nil {
			return
		}
		if len(r.Why) > 500 || !utf8.ValidString(r.Why) || strings.ContainsFunc(r.Why, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q", r.Why)
		}
	})
}
