//go:build cgo && customenv

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"gocv.io/x/gocv"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/timeline"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/worker/relay"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/worker/trust"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/worker/tunnel"
)

// player plays one source.
type player struct {
	wire.Open
	kind   source.Kind
	probe  *probe
	memory *wire.Memory
	trust  trust.Trust
	relay  *relay.Relay
	tunnel *tunnel.Tunnel

	capture *gocv.VideoCapture
	frame   gocv.Mat
	checks  *checker
	drawing *drawing

	line    timeline.Timeline
	ticker  timeline.Ticker
	check   time.Time // when the next one is due
	started time.Time
	seq     uint64
	slot    int
	// What the capture said of the frame before.
	position, pts float64
	timeless      bool // the source has no times
}

func newPlayer(open wire.Open, t trust.Trust, p *probe, memory *wire.Memory) *player {
	return &player{
		Open: open, trust: t, probe: p, memory: memory,
		line:   timeline.Timeline{Tolerance: open.Late},
		ticker: timeline.Ticker{Every: open.PictureEvery},
	}
}

// play returns when the stream is over, one way or the other.
func (p *player) play() wire.Report {
	runtime.LockOSThread() // one thread decodes, and its processor time is the decoder's
	p.probe.report(wire.Report{State: wire.Opening})
	if failed := p.open(); failed != nil {
		return *failed
	}
	p.frame, p.checks, p.drawing = gocv.NewMat(), newChecker(), newDrawing(p.PictureWidth)
	p.started = time.Now()
	for p.next() {
	}
	return p.end()
}

func (p *player) open() *wire.Report {
	src, err := source.Parse(p.Source, p.Local)
	if err != nil {
		return &wire.Report{State: wire.Failed, Cause: wire.Refused, Why: err.Error()}
	}
	p.kind = src.Kind
	var name string
	switch src.Kind {
	case source.RTSP:
		if src.URL.Scheme == "rtsps" {
			p.tunnel, err = tunnel.Open(context.Background(), src.URL, p.trust, p.Timeout)
			if err != nil {
				return failure(err)
			}
			throughTunnel(p.tunnel.End().Fd())
			clear := *src.URL
			clear.Scheme, clear.Host = "rtsp", p.tunnel.Remote.String()
			name = clear.String()
			p.setOptions("rtsp,rtp,tcp", "rtsp_transport", "tcp", "max_delay", "200000")
			break
		}
		pinned, failed := pin(src.URL, p.Timeout)
		if failed != nil {
			return failed
		}
		name = pinned.String()
		p.setOptions("rtsp,rtp,udp,tcp", "rtsp_transport", p.transport(), "max_delay", "200000")
	case source.HTTP:
		p.relay, err = relay.Start(context.Background(), src.URL, p.trust, p.Timeout)
		if err != nil {
			return failure(err)
		}
		name = "pipe:" + strconv.Itoa(int(p.relay.Pipe().Fd()))
		p.setOptions("pipe")
	case source.File:
		path, err := filepath.Abs(src.Path)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return &wire.Report{State: wire.Failed, Cause: wire.Camera, Why: err.Error()}
		}
		name = "file:" + path
		p.setOptions("file")
	case source.Device:
		number, _ := strconv.Atoi(strings.TrimPrefix(src.Path, "/dev/video"))
		p.capture, err = gocv.VideoCaptureDeviceWithAPI(number, gocv.VideoCaptureV4L2)
		return p.opened(err)
	}
	p.capture, err = gocv.VideoCaptureFileWithAPI(name, gocv.VideoCaptureFFmpeg)
	return p.opened(err)
}

func (p *player) transport() string {
	if p.Transport == "udp" {
		return "udp"
	}
	return "tcp"
}

// setOptions sets what ffmpeg gets, as pairs of name and value. It is C's
// environment, in which no secret is.
func (p *player) setOptions(whitelist string, more ...string) {
	options := []string{
		"protocol_whitelist", whitelist,
		// Not fflags nobuffer: it drops what was read while the stream was looked at,
		// and with that the first key frame.
		"flags", "low_delay",
		// What is looked at before playing. FLV would wait for sound that may never come.
		"analyzeduration", "500000",
		"timeout", strconv.FormatInt(p.Timeout.Microseconds(), 10),
	}
	options = append(options, more...)
	var b strings.Builder
	for i := 0; i+1 < len(options); i += 2 {
		if i > 0 {
			b.WriteByte('|')
		}
		b.WriteString(options[i] + ";" + options[i+1])
	}
	os.Setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", b.String())
}

func (p *player) opened(err error) *wire.Report {
	if err == nil && p.capture != nil && p.capture.IsOpened() {
		return nil
	}
	if refused := lastRefused.Load(); refused != nil {
		return &wire.Report{State: wire.Failed, Cause: wire.Refused, Why: fmt.Sprintf("the server leads to where it must not: %v", *refused)}
	}
	if p.relay != nil {
		p.relay.Pipe().Close()
		if err := p.relay.End(); err != nil && !errors.Is(err, unix.EPIPE) {
			return failure(err)
		}
		return &wire.Report{State: wire.Failed, Cause: wire.Camera, Why: "what the server sends is no video that can be played"}
	}
	if p.tunnel != nil && p.tunnel.Err() != nil {
		return failure(p.tunnel.Err())
	}
	// ffmpeg wrote why to standard error, where the probe reads it.
	return &wire.Report{State: wire.Failed}
}

func failure(err error) *wire.Report {
	r := &wire.Report{State: wire.Failed, Cause: wire.Network, Why: err.Error()}
	if e := (*relay.Error)(nil); errors.As(err, &e) {
		r.Cause = e.Cause
	}
	return r
}

// next plays one frame. It is false when there is none any more.
func (p *player) next() bool {
	// Without need for its pixels a frame is decoded, but not converted.
	now := time.Now()
	checking := !now.Before(p.check)
	pixels := checking || p.probe.pictures.Load()
	before := threadTime()
	if !p.decode(pixels) {
		return false
	}
	at := clock.Now()
	pts := p.capture.Get(gocv.VideoCapturePosMsec)
	moved := p.moved()
	if p.seq > 0 && pts == p.pts {
		if !moved {
			// After a time-out OpenCV gives the last frame again before it says so.
			return true
		}
		p.timeless = true
	}
	p.pts = pts
	if p.timeless || p.kind == source.Device || pts < 0 || math.IsNaN(pts) || pts > 1e12 {
		pts = float64(at) / 1e6 // when it came is the best there is
	}
	if p.kind == source.File {
		p.pace(pts)
		at = clock.Now()
	}
	key := p.kind != source.Device && p.capture.Get(lastPacketIsKey) > 0
	place := p.line.Add(time.Duration(pts*1e6), at, key)
	p.seq++
	if p.seq == 1 {
		p.probe.report(wire.Report{State: wire.Playing})
	}
	f := wire.Frame{
		Seq: p.seq, PTS: place.PTS, At: at, Late: place.Late, Key: key, Decode: threadTime() - before,
		Width:  int(p.capture.Get(gocv.VideoCaptureFrameWidth)),
		Height: int(p.capture.Get(gocv.VideoCaptureFrameHeight)),
	}
	if pixels && !place.Late && !p.frame.Empty() {
		if checking {
			p.check = now.Add(p.CheckEvery)
			f.Checked = true
			f.Black, f.Frozen, f.Artefacts, f.Blockiness = p.checks.check(p.frame)
			f.Place, f.Filled = p.checks.locate(p.frame)
		}
		if p.probe.pictures.Load() && p.ticker.Due(place.PTS) {
			p.picture(&f)
		}
	}
	p.probe.frame(f)
	return true
}

// lastPacketIsKey is OpenCV's CAP_PROP_LRF_HAS_KEY_FRAME, which gocv has no name
// for. It is documented for packets that are handed out as they came, but tells
// of the packet that went to the decoder last in any case. With one decoder
// thread (gate.c) that is the frame's own, but for codecs that reorder.
const lastPacketIsKey gocv.VideoCaptureProperties = 67

func (p *player) decode(pixels bool) bool {
	// The first frame is always read whole: an unreadable stream shows here. V4L2
	// does not count frames, so whether one was grabbed can't be known otherwise.
	if pixels || p.seq == 0 || p.kind == source.Device {
		return p.capture.Read(&p.frame)
	}
	p.capture.Grab(1) // does not say whether it could
	return p.capture.Get(gocv.VideoCapturePosFrames) != p.position
}

// moved says whether there is another frame than there was at the last call.
func (p *player) moved() bool {
	position := p.capture.Get(gocv.VideoCapturePosFrames)
	moved := position != p.position
	p.position = position
	return moved
}

// pace plays a file no faster than a camera would.
func (p *player) pace(pts float64) {
	if p.seq == 0 {
		p.started = time.Now().Add(-time.Duration(pts * 1e6))
	}
	if wait := time.Until(p.started.Add(time.Duration(pts * 1e6))); wait > 0 && wait < time.Minute {
		time.Sleep(wait)
	}
}

// picture puts the frame, with marks, into the next slot.
func (p *player) picture(f *wire.Frame) {
	jpeg, err := p.drawing.encode(&p.frame, p.probe.marks.Load())
	if err != nil {
		fmt.Fprintf(os.Stderr, "capture worker: picture: %v\n", err)
		return
	}
	defer jpeg.Close()
	bytes := jpeg.GetBytes()
	if len(bytes) > wire.SlotBytes {
		return // more detail than any camera's picture has
	}
	p.slot = (p.slot + 1) % wire.Slots
	if err := p.memory.Write(p.slot, f.Seq, bytes); err == nil {
		f.Picture, f.Slot, f.Length = true, p.slot, len(bytes)
	}
}

func (p *player) end() wire.Report {
	if p.relay != nil {
		p.relay.Pipe().Close()
		if err := p.relay.End(); err != nil && !errors.Is(err, unix.EPIPE) {
			return *failure(err)
		}
	}
	if p.tunnel != nil && p.tunnel.Err() != nil {
		return *failure(p.tunnel.Err())
	}
	if p.seq == 0 {
		return wire.Report{State: wire.Failed, Cause: wire.Camera, Why: "the source opened, but no frame can be decoded"}
	}
	if p.kind == source.File {
		return wire.Report{State: wire.Ended, Why: "the file is over"}
	}
	return wire.Report{State: wire.Ended, Cause: wire.Camera, Why: "the source ended the stream"}
}

// threadTime is the processor's time that this thread has used.
func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) // this clock exists everywhere
	return time.Duration(ts.Nano())
}
