package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
)

// Frame is the record of one decoded frame.
type Frame struct {
	// Seq counts the frames of a session from 1.
	Seq uint64
	// PTS is the frame's time on the stream's own clock, made monotonic; 0 is the
	// first frame's.
	PTS time.Duration
	// At is when the frame came out of the decoder.
	At clock.Ktime
	// Decode is the processor's time that it took.
	Decode time.Duration
	// Width and Height are the stream's, in pixels.
	Width, Height int
	// Late frames were dropped after they were decoded.
	Late bool
	// Key frames begin a group of pictures; where pictures are reordered, the
	// frame that is marked is a few before.
	Key bool
	// Checked says whether the next four mean anything: only some frames are.
	Checked                  bool
	Black, Frozen, Artefacts bool
	// Blockiness is how much steeper the picture is across the borders of
	// macroblocks than inside of them; 1 is not at all.
	Blockiness float32
	// Filled says that Place, without a label, was lost and filled with grey or green.
	Filled bool
	Place  Box
	// Picture says whether Slot has a JPEG of this frame, of Length bytes.
	Picture      bool
	Slot, Length int
}

const (
	frameKind = 'F'
	// frameBytes: kind, flags, slot, filled, then the fields and the place.
	frameBytes = 4 + 8 + 8 + 8 + 8 + 4 + 4 + 4 + 4 + 4*2

	// placeUnit is the whole picture's side.
	placeUnit = math.MaxUint16

	// maxSide is more than any camera has, in pixels.
	maxSide = 16384
)

const (
	flagLate = 1 << iota
	flagChecked
	flagBlack
	flagFrozen
	flagArtefacts
	flagPicture
	flagKey
	flagsEnd
)

// AppendFrame appends the record to b.
func AppendFrame(b []byte, f Frame) []byte {
	var flags byte
	for _, v := range [...]struct {
		set bool
		bit byte
	}{{f.Late, flagLate}, {f.Checked, flagChecked}, {f.Black, flagBlack}, {f.Frozen, flagFrozen},
		{f.Artefacts, flagArtefacts}, {f.Picture, flagPicture}, {f.Key, flagKey}} {
		if v.set {
			flags |= v.bit
		}
	}
	b = append(b, frameKind, flags, byte(f.Slot), bit(f.Filled))
	b = binary.LittleEndian.AppendUint64(b, f.Seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.PTS))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.At))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.Decode))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.Width))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.Height))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f.Blockiness))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.Length))
	for _, v := range [...]float64{f.Place.X, f.Place.Y, f.Place.Width, f.Place.Height} {
		b = binary.LittleEndian.AppendUint16(b, uint16(math.Round(share(v)*placeUnit)))
	}
	return b
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

var (
	errFrameSize  = errors.New("a frame's record has the wrong size: probe and worker may be of different versions")
	errFrameRange = errors.New("a frame's record has a figure out of range")
)

// IsFrame tells a frame's record from a report.
func IsFrame(b []byte) bool { return len(b) > 0 && b[0] == frameKind }

// ParseFrame is the inverse of AppendFrame. What it returns without error can
// be used as it is: the slot exists, the length fits, figures are finite.
func ParseFrame(b []byte) (Frame, error) {
	if len(b) != frameBytes || b[0] != frameKind {
		return Frame{}, errFrameSize
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	flags, slot, filled := b[1], int(b[2]), b[3] == 1
	side := func(at int) float64 { return float64(binary.LittleEndian.Uint16(b[at:])) / placeUnit }
	place := Box{X: side(52), Y: side(54), Width: side(56), Height: side(58)}
	width, height, length := u32(36), u32(40), u32(48)
	blockiness := math.Float32frombits(u32(44))
	// The upper limit of times leaves room to add to them: 146 years.
	const endOfTime = math.MaxInt64 / 2
	switch {
	case flags >= flagsEnd, slot >= Slots, length > SlotBytes, width > maxSide, height > maxSide:
		return Frame{}, errFrameRange
	case u64(12) > endOfTime, u64(20) > endOfTime, u64(28) > uint64(time.Hour):
		return Frame{}, errFrameRange
	case blockiness != blockiness, math.IsInf(float64(blockiness), 0), blockiness < 0:
		return Frame{}, errFrameRange
	case flags&flagPicture == 0 && (slot != 0 || length != 0), flags&flagPicture != 0 && length == 0:
		return Frame{}, errFrameRange
	case b[3] > 1, filled && flags&flagChecked == 0, !filled && place != Box{}:
		return Frame{}, errFrameRange
	case place.X+place.Width > 1.001, place.Y+place.Height > 1.001:
		return Frame{}, errFrameRange
	case flags&flagChecked == 0 && (flags&(flagBlack|flagFrozen|flagArtefacts) != 0 || blockiness != 0):
		return Frame{}, errFrameRange
	}
	return Frame{
		Seq: u64(4), PTS: time.Duration(u64(12)), At: clock.Ktime(u64(20)), Decode: time.Duration(u64(28)),
		Width: int(width), Height: int(height), Blockiness: blockiness,
		Late: flags&flagLate != 0, Key: flags&flagKey != 0, Checked: flags&flagChecked != 0, Black: flags&flagBlack != 0,
		Frozen: flags&flagFrozen != 0, Artefacts: flags&flagArtefacts != 0,
		Filled: filled, Place: place,
		Picture: flags&flagPicture != 0, Slot: slot, Length: int(length),
	}, nil
}
