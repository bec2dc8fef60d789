package probe_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// gop is how many frames the encoders are told from key frame to key frame.
const gop = 30

// encoders are ffmpeg's, by what they are called with: 30 frames a second.
var encoders = map[string][]string{
	"H.264": {"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", strconv.Itoa(gop), "-keyint_min", strconv.Itoa(gop), "-sc_threshold", "0"},
	"H.265": {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", fmt.Sprintf("keyint=%d:min-keyint=%d:scenecut=0:open-gop=0:log-level=error", gop, gop)},
}

// The test knows key frames by their number alone: it reads no payload.
func TestGOPIsWhatTheEncoderWasTold(t *testing.T) {
	needsNamespace(t)
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("needs ffmpeg")
	}
	has, err := exec.Command(ffmpeg, "-hide_banner", "-encoders").Output()
	if err != nil {
		t.Fatal(err)
	}
	relays := map[string]*relay{}
	var ports []string
	for name, arguments := range encoders {
		if !strings.Contains(string(has), arguments[1]) {
			t.Logf("%s is left out: ffmpeg has no %s", name, arguments[1])
			continue
		}
		r := newRelay(t, uint32(100+len(relays)))
		relays[name] = r
		ports = append(ports, strconv.Itoa(int(r.to.Port())))
	}
	other := listen(t, wide)
	ports = append(ports, strconv.Itoa(int(other.addr().Port())))
	p := start(t, "--rtp-ports", strings.Join(ports, ","))
	(&camera{ssrc: 99}).start(t, other.addr())
	for name, r := range relays {
		encode(t, ffmpeg, r, encoders[name])
	}

	is := func(s streamOf, frames, seconds float64) bool {
		f, d := s.Window["gopFrames"], s.Window["gopSeconds"]
		return f != nil && *f == frames && d != nil && math.Abs(*d-seconds) < .001
	}
	for name, r := range relays {
		p.eventually(name+" has the GOP that was encoded", func() bool { return is(p.stream(r.ssrc), gop, gop/30.) })
		gap := p.stream(r.ssrc).Window["keyFrameGapSeconds"]
		if gap == nil || *gap < 0 {
			t.Errorf("%s: no key-frame gap", name)
		}
		r.loses.Store(true)
	}
	for name, r := range relays {
		// A frame that is lost did not arrive, and so is not counted.
		p.eventually(name+" without every other key frame has twice the GOP", func() bool { return is(p.stream(r.ssrc), 2*gop-1, 2*gop/30.) })
		p.eventually(name+" goes for longer without a key frame", func() bool {
			gap := p.stream(r.ssrc).Window["keyFrameGapSeconds"]
			return gap != nil && *gap > 1.25*gop/30.
		})
	}

	_, metrics := p.get(p.pod, "/metrics")
	for name, r := range relays {
		series := fmt.Sprintf(`debugsidecar_stream_gop_frames{src="%s",ssrc="%d",stream="%s"} `, r.from, r.ssrc, r.to)
		if !strings.Contains(metrics, series) {
			t.Errorf("%s: no %s in the metrics", name, series)
		}
	}
	if unknown := p.stream(99).Window["gopFrames"]; unknown != nil {
		t.Errorf("a GOP of %v of payload that is no codec's", *unknown)
	}
	if why := p.status().NotAvailable["key frames of a stream"]; !strings.Contains(why, "not recognised") {
		t.Errorf("the status says of such a stream: %q", why)
	}
}

// relay hands RTP on to a receiver that reads it.
type relay struct {
	ssrc  uint32
	conn  *net.UDPConn
	from  netip.AddrPort // of what the receiver gets
	to    netip.AddrPort
	loses atomic.Bool // every other key frame
}

func newRelay(t *testing.T, ssrc uint32) *relay {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ssrc: ssrc, conn: conn, to: listen(t, wide).addr()}
	out, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.to))
	if err != nil {
		t.Fatal(err)
	}
	r.from = out.LocalAddr().(*net.UDPAddr).AddrPort()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run(out)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
		out.Close()
	})
	return r
}

func (r *relay) run(out *net.UDPConn) {
	var first uint32
	begun := false
	b := make([]byte, 2048)
	for {
		n, err := r.conn.Read(b)
		if err != nil {
			return
		}
		timestamp := binary.BigEndian.Uint32(b[4:])
		if !begun {
			first, begun = timestamp, true // a key frame, as it is the first
		}
		if frame := (timestamp - first) / 3000; r.loses.Load() && frame%(2*gop) == gop {
			continue
		}
		_, _ = out.Write(b[:n])
	}
}

// encode sends a moving pattern in real time until the test ends.
func encode(t *testing.T, ffmpeg string, to *relay, encoder []string) {
	t.Helper()
	cmd := exec.Command(ffmpeg, slices.Concat(
		[]string{"-hide_banner", "-loglevel", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30", "-threads", "1"},
		encoder,
		[]string{"-pix_fmt", "yuv420p", "-f", "rtp", "-ssrc", strconv.Itoa(int(to.ssrc)), "rtp://" + to.conn.LocalAddr().String()},
	)...)
	output := &lines{}
	cmd.Stderr = output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("after %v ffmpeg has said:\n%s", time.Since(began).Round(time.Second), output)
		}
	})
}
