package capture

import (
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

func TestStreamIsOpenOnlyWhenItIsNeeded(t *testing.T) {
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	open := func(mode Mode) *Capture {
		c, err := New(Options{Source: "rtsp://camera/1", Mode: mode, SampleFor: time.Second, SampleEvery: time.Minute, Quiet: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		c.started = start
		return c
	}
	c := open(OnAlert)
	if c.wanted(at(0)) || c.wanted(at(time.Hour)) {
		t.Error("onAlert: it is open without alert")
	}
	c.WantPictures(true)
	if !c.wanted(at(0)) {
		t.Error("onAlert: it is closed while somebody looks")
	}
	c.WantPictures(false)
	c.Alert(true)
	if !c.wanted(at(time.Hour)) {
		t.Error("onAlert: it is closed in an alert")
	}
	c.Alert(false)
	if quiet := c.quietAt; !c.wanted(quiet.Add(9*time.Second)) || c.wanted(quiet.Add(11*time.Second)) {
		t.Error("onAlert: it does not stay open for Quiet, and no longer, after an alert")
	}
	c.Alert(false)
	if now := c.quietAt; c.wanted(now.Add(11 * time.Second)) {
		t.Error("an alert that ends twice is one")
	}
	c = open(Sampled)
	for d, want := range map[time.Duration]bool{
		0: true, 999 * time.Millisecond: true, time.Second: false, 59 * time.Second: false, time.Minute: true, 2*time.Minute + 2*time.Second: false,
	} {
		if c.wanted(at(d)) != want {
			t.Errorf("sampled: open after %v is %v", d, !want)
		}
	}
	if c = open(Always); !c.wanted(at(time.Hour)) {
		t.Error("always: it is closed")
	}
}

func TestOptionsThatMeanNothingAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"mode": {Mode: "sometimes"}, "transport": {Transport: "pigeon"}, "duration": {Late: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: %+v passes", name, o)
		}
	}
}

// newPlaying is a capture with memory whose child's end is child.
func newPlaying(t testing.TB) (c *Capture, child *wire.Memory) {
	t.Helper()
	c, err := New(Options{Source: "rtsp://camera/1"})
	if err != nil {
		t.Fatal(err)
	}
	if c.memory, err = wire.NewMemory(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.memory.Close() })
	if child, err = wire.OpenMemory(c.memory.File()); err != nil {
		t.Fatal(err)
	}
	return c, child
}

func TestFrameCostsNoAllocation(t *testing.T) {
	c, child := newPlaying(t)
	jpeg := make([]byte, 100_000)
	jpeg[0], jpeg[1], jpeg[len(jpeg)-2], jpeg[len(jpeg)-1] = 0xff, 0xd8, 0xff, 0xd9
	s := &session{c: c}
	var seq, number uint64
	message := make([]byte, 0, 100)
	one := func() {
		seq++
		slot := int(seq % wire.Slots)
		if err := child.Write(slot, seq, jpeg); err != nil {
			t.Fatal(err)
		}
		message = wire.AppendFrame(message[:0], wire.Frame{
			Seq: seq, PTS: time.Duration(seq) * 33 * time.Millisecond, At: clock.Now(), Width: 1280, Height: 720,
			Checked: true, Blockiness: 1, Picture: true, Slot: slot, Length: len(jpeg),
		})
		if err := s.hear(message); err != nil {
			t.Fatal(err)
		}
		picture, n, ok := c.Picture(number)
		if !ok || len(picture) != len(jpeg) || n != number+1 {
			t.Fatalf("picture %d of %d bytes after %d: %v", n, len(picture), number, ok)
		}
		number = n
		if c.Snapshot().Frames != seq {
			t.Fatal("a frame was not counted")
		}
	}
	one() // the buffer for the first picture
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestPictureIsGivenOnceAndAlsoToWhoSawAnotherCapture(t *testing.T) {
	c, child := newPlaying(t)
	jpeg := []byte{0xff, 0xd8, 0xff, 0xd9}
	if err := child.Write(1, 7, jpeg); err != nil {
		t.Fatal(err)
	}
	c.took(wire.Frame{Seq: 7, At: clock.Now(), Picture: true, Slot: 1, Length: len(jpeg)})
	for after, want := range map[uint64]bool{0: true, 1: false, 500: true} {
		if _, number, ok := c.Picture(after); ok != want || ok && number != 1 {
			t.Errorf("after %d: picture %d, %v", after, number, ok)
		}
	}
}

func TestSnapshotSumsUp(t *testing.T) {
	c, _ := newPlaying(t)
	for i := range 100 {
		c.took(wire.Frame{
			Seq: uint64(i + 1), PTS: time.Duration(i) * 40 * time.Millisecond, At: clock.Now(), Decode: time.Millisecond,
			Width: 640, Height: 360, Late: i%10 == 0, Key: i%25 == 0, Checked: i%4 == 0, Black: i%8 == 0, Artefacts: i%20 == 0, Blockiness: 1.5,
		})
	}
	s := c.Snapshot()
	want := Snapshot{
		State: Playing, Sessions: 1, Frames: 100, Late: 10, Newest: 99 * 40 * time.Millisecond, NewestAt: s.NewestAt,
		Keys: 4, KeyAt: s.KeyAt, GOP: time.Second, GOPFrames: 25,
		Width: 640, Height: 360, FPS: s.FPS, Checked: 25, Black: 13, Artefacts: 5, Blockiness: 1.5, Decode: 100 * time.Millisecond,
		Damage: Box{Width: 1, Height: 1, Label: "black (sampled)"},
	}
	if s != want || s.KeyAt == 0 || s.KeyAt > s.NewestAt || s.FPS < 24.9 || s.FPS > 25.1 {
		t.Errorf("%+v\nwant %+v", s, want)
	}
	if _, _, ok := c.Picture(0); ok {
		t.Error("there is a picture")
	}
}

// What a child says of time is not believed.
func TestFramesAreNeverOfTheFuture(t *testing.T) {
	c, _ := newPlaying(t)
	c.took(wire.Frame{Seq: 1, At: clock.Now() + clock.Ktime(time.Hour)})
	if s := c.Snapshot(); s.NewestAt > clock.Now() {
		t.Errorf("%+v", s)
	}
}

func TestFFmpegsWordsHaveACause(t *testing.T) {
	for line, want := range map[string]Cause{
		"[rtsp @ 0x1] method DESCRIBE failed: 401 Unauthorized":                Credentials,
		"[rtsp @ 0x1] method DESCRIBE failed: 404 Not Found":                   Camera,
		"[tcp @ 0x1] Connection to tcp://1.2.3.4:554 failed: No route to host": Network,
		"[rtsp @ 0x1] Protocol 'file' not on whitelist 'rtsp,tcp'!":            Refused,
		"anything else": NoCause,
	} {
		if cause, why, _ := classify(line); cause != want || (why == "") != (want == NoCause) {
			t.Errorf("%q: %s, %s", line, cause, why)
		}
	}
	if _, _, decoder := classify("[h264 @ 0x1] error while decoding MB 3 4, bytestream -5"); !decoder {
		t.Error("a decoder's error is none")
	}
}

func TestDamageHasAPlaceWhereItIsKnown(t *testing.T) {
	for line, want := range map[string]int{
		"[h264 @ 0x1] error while decoding MB 3 14, bytestream -5":      14,
		"[h264 @ 0x1] error while decoding MB 3 99999999999999, bytes":  0,
		"[h264 @ 0x1] concealing 80 DC, 80 AC, 80 MV errors in P frame": 0,
	} {
		if row, _ := brokenRow(line); row != want {
			t.Errorf("%q: row %d", line, row)
		}
	}
	const label = "artefacts (sampled)"
	band := Box{Y: .25, Width: 1, Height: .25}
	for name, c := range map[string]struct {
		frame      wire.Frame
		complained bool
		row        int
		want       Box
	}{
		"none":                          {want: Box{}},
		"a row that the decoder names":  {complained: true, row: 9, want: Box{Y: .4, Width: 1, Height: .6, Label: label}},
		"its first row":                 {complained: true, want: Box{Width: 1, Height: 1, Label: label}},
		"a row that can't be":           {complained: true, row: 4000, want: Box{Width: 1, Height: 1, Label: label}},
		"rows that were filled in":      {frame: wire.Frame{Filled: true, Place: band}, want: Box{Y: .25, Width: 1, Height: .25, Label: label}},
		"blocks everywhere":             {frame: wire.Frame{Artefacts: true}, want: Box{Width: 1, Height: 1, Label: label}},
		"nothing moves":                 {frame: wire.Frame{Frozen: true}, want: Box{Width: 1, Height: 1, Label: "frozen (sampled)"}},
		"black, and so nothing to move": {frame: wire.Frame{Black: true, Frozen: true}, want: Box{Width: 1, Height: 1, Label: "black (sampled)"}},
	} {
		c.frame.Height = 360
		if got := damage(&c.frame, c.complained, c.row); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
