package serve

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/status"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Pictures come as they are made, and are wanted only while somebody looks or an
// alert is on.
func TestPicturesAreWantedOnlyWhileSomebodyLooks(t *testing.T) {
	t.Parallel() // it waits
	f := &film{}
	s := serving(t, Options{Pictures: f})
	if f.wanted.Load() {
		t.Error("wanted by nobody")
	}
	answer := dial(t, s, "/live.mjpg")
	_, params, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(answer.Body, params["boundary"])
	for n := range 3 {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(part); err != nil || len(b) < 1000 || b[0] != 0xff || b[1] != 0xd8 {
			t.Fatalf("picture %d: %d bytes, %v", n, len(b), err)
		}
	}
	if !f.wanted.Load() {
		t.Error("somebody looks, and it is not wanted")
	}
	answer.Body.Close()
	eventually(t, "nobody looks any more", func() bool { return !f.wanted.Load() })
	s.Publish(scripted(time.Now(), 1, 2, .1))
	s.Alert(scriptedAlert(time.Now(), warn.Stalled, time.Second, sample.Figure{}))
	eventually(t, "an alert is on", f.wanted.Load)
	s.Alert(scriptedAlert(time.Now(), warn.Clear, time.Second, sample.Figure{}))
	eventually(t, "it is over", func() bool { return !f.wanted.Load() })
	s.Alert(scriptedAlert(time.Now(), warn.Stalled, time.Second, sample.Figure{}))
	eventually(t, "an alert is on again", f.wanted.Load)
	s.Publish(&status.Status{At: time.Now()})
	eventually(t, "its stream is gone", func() bool { return !f.wanted.Load() })
}

// A viewer that reads nothing misses pictures, delays nobody, and is thrown out.
func TestASlowViewerDelaysNoOther(t *testing.T) {
	t.Parallel() // it waits
	s := serving(t, Options{Pictures: still{make([]byte, 1<<20)}})
	_, addr := s.Addrs()
	slow, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	_ = slow.(*net.TCPConn).SetReadBuffer(1024)
	fmt.Fprintf(slow, "GET /live.mjpg HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", addr, token)
	viewers := func() int { n, _ := s.live.counts(); return n }
	eventually(t, "it looks", func() bool { return viewers() == 1 })
	answer := dial(t, s, "/live.mjpg")
	parts := multipart.NewReader(answer.Body, boundary)
	eventually(t, "the slow one is gone, while the other one sees pictures", func() bool {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, part)
		return viewers() == 1
	})
}

// Each frame costs the viewers a copy, and the server no memory.
func TestPicturesCostNoMemory(t *testing.T) {
	l := newLive(still{make([]byte, 60_000)})
	var buf []byte
	l.fetch()
	buf, number, _ := l.after(0, buf)
	if got := testing.AllocsPerRun(100, func() {
		l.fetch()
		buf, number, _ = l.after(number, buf)
	}); got > 1 { // the channel that tells of it
		t.Errorf("%v allocations a picture", got)
	}
}

// still is the same picture again and again.
type still struct{ jpeg []byte }

func (s still) Picture(after uint64) ([]byte, uint64, bool) { return s.jpeg, after + 1, true }
func (s still) WantPictures(bool)                           {}
