package wire_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

func anyFrame(t *rapid.T) wire.Frame {
	f := wire.Frame{
		Seq:    rapid.Uint64().Draw(t, "seq"),
		PTS:    time.Duration(rapid.Int64Range(0, math.MaxInt64/2).Draw(t, "pts")),
		At:     clock.Ktime(rapid.Uint64Range(0, math.MaxInt64/2).Draw(t, "at")),
		Decode: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "decode")),
		Width:  rapid.IntRange(0, 16384).Draw(t, "width"), Height: rapid.IntRange(0, 16384).Draw(t, "height"),
		Late: rapid.Bool().Draw(t, "late"), Key: rapid.Bool().Draw(t, "key"), Checked: rapid.Bool().Draw(t, "checked"),
	}
	if f.Checked {
		if f.Filled = rapid.Bool().Draw(t, "filled"); f.Filled {
			side := func(name string) float64 {
				return float64(rapid.IntRange(0, math.MaxUint16/2).Draw(t, name)) / math.MaxUint16
			}
			f.Place = wire.Box{X: side("x"), Y: side("y"), Width: side("width"), Height: side("height")}
		}
		f.Black, f.Frozen, f.Artefacts = rapid.Bool().Draw(t, "black"), rapid.Bool().Draw(t, "frozen"), rapid.Bool().Draw(t, "artefacts")
		f.Blockiness = rapid.Float32Range(0, 1000).Draw(t, "blockiness")
	}
	if rapid.Bool().Draw(t, "picture") {
		f.Picture, f.Slot = true, rapid.IntRange(0, wire.Slots-1).Draw(t, "slot")
		f.Length = rapid.IntRange(1, wire.SlotBytes).Draw(t, "length")
	}
	return f
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFrame(t)
		back, err := wire.ParseFrame(wire.AppendFrame(nil, f))
		if err != nil || back != f {
			t.Fatalf("%+v became %+v (%v)", f, back, err)
		}
	})
}

func TestRecordsOutOfRangeAreRefused(t *testing.T) {
	good := wire.Frame{Seq: 1, Width: 640, Height: 360, Checked: true, Blockiness: 1, Picture: true, Slot: 3, Length: 100}
	if _, err := wire.ParseFrame(wire.AppendFrame(nil, good)); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*wire.Frame){
		"slot":             func(f *wire.Frame) { f.Slot = wire.Slots },
		"length":           func(f *wire.Frame) { f.Length = wire.SlotBytes + 1 },
		"no length":        func(f *wire.Frame) { f.Length = 0 },
		"picture is none":  func(f *wire.Frame) { f.Picture = false },
		"width":            func(f *wire.Frame) { f.Width = 1 << 30 },
		"negative height":  func(f *wire.Frame) { f.Height = -1 },
		"negative PTS":     func(f *wire.Frame) { f.PTS = -1 },
		"time after all":   func(f *wire.Frame) { f.At = math.MaxUint64 },
		"long decoding":    func(f *wire.Frame) { f.Decode = 2 * time.Hour },
		"NaN":              func(f *wire.Frame) { f.Blockiness = float32(math.NaN()) },
		"infinite":         func(f *wire.Frame) { f.Blockiness = float32(math.Inf(1)) },
		"not checked":      func(f *wire.Frame) { f.Checked = false },
		"black, unchecked": func(f *wire.Frame) { f.Checked, f.Blockiness, f.Black = false, 0, true },
	} {
		f := good
		spoil(&f)
		if _, err := wire.ParseFrame(wire.AppendFrame(nil, f)); err == nil {
			t.Errorf("%s: %+v passes", name, f)
		}
	}
}

func TestFrameIsParsedWithoutAllocation(t *testing.T) {
	b := wire.AppendFrame(nil, wire.Frame{Seq: 1, Picture: true, Length: 9})
	if n := testing.AllocsPerRun(1000, func() {
		if f, err := wire.ParseFrame(b); err != nil || f.Seq != 1 {
			t.Fatal(err)
		}
		b = wire.AppendFrame(b[:0], wire.Frame{Seq: 1, Picture: true, Length: 9})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever a child sends: it is refused, or can be used as it is.
func FuzzParseFrame(f *testing.F) {
	f.Add(wire.AppendFrame(nil, wire.Frame{Seq: 1, Width: 640, Height: 360, Picture: true, Slot: 3, Length: wire.SlotBytes}))
	f.Add(wire.AppendFrame(nil, wire.Frame{Seq: 1, Checked: true, Blockiness: 3, Black: true}))
	f.Add([]byte("F"))
	memory, err := wire.NewMemory()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { memory.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := wire.ParseFrame(b)
		if err != nil {
			return
		}
		if string(wire.AppendFrame(nil, frame)) != string(b) {
			t.Errorf("%x is %+v, which is something else", b, frame)
		}
		if _, ok := memory.Read(nil, frame); ok {
			t.Errorf("a picture where there is none: %+v", frame)
		}
	})
}
