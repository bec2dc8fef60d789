package probe

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debugsidecar/debugsidecar/bpf/clock"
	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/sidecar/guard"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

const began = clock.Ktime(1000 * time.Second)

func after(d time.Duration) clock.Ktime { return began + clock.Ktime(d) }

func TestASessionsFramesBecomeMediaOnItsOwnClock(t *testing.T) {
	o := &ownSession{id: sample.Stream{Source: "rtsp://camera/1"}}
	if s := o.take(after(0), capture.Snapshot{State: capture.Opening}); s.media.Known || s.cause != "" {
		t.Errorf("nothing was played yet: %+v", s)
	}
	playing := capture.Snapshot{State: capture.Playing, Sessions: 1, Frames: 3, Newest: 5 * time.Second, NewestAt: after(90 * time.Millisecond)}
	s := o.take(after(100*time.Millisecond), playing)
	if !s.media.Known || !s.media.Reliable || s.media.Newest != 0 || s.media.Restarted || s.media.Frames != 3 {
		t.Errorf("the first frames: %+v", s.media)
	}
	playing.Frames, playing.Newest, playing.NewestAt = 6, 5100*time.Millisecond, after(190*time.Millisecond)
	s = o.take(after(200*time.Millisecond), playing)
	if s.media.Frames != 3 || s.media.Newest != 100*time.Millisecond || s.session.Age.Or(-1) != 0.01 {
		t.Errorf("the next frames: %+v %+v", s.media, s.session)
	}
	again := playing
	again.Sessions, again.Frames, again.Newest = 2, 7, 30*time.Millisecond
	if s = o.take(after(300*time.Millisecond), again); !s.media.Restarted || s.media.Newest != 0 {
		t.Errorf("a new session begins a new clock: %+v", s.media)
	}
}

// The lower source is another capture, which takes a while to play: its clock has
// nothing to do with the one before.
func TestAnotherCaptureBeginsANewClock(t *testing.T) {
	o, d := &ownSession{}, warn.New(warn.Options{}, sample.Stream{})
	var last warn.Verdict
	const turned, plays = 100, 108 // samples
	for i := range 300 {
		now := time.Duration(i) * sample.Interval
		s := capture.Snapshot{State: capture.Playing, Sessions: 1, Frames: uint64(3 * (i + 1)), Newest: time.Hour + now, NewestAt: after(now - time.Millisecond)}
		switch {
		case i >= plays:
			s.Frames, s.Newest = 20+uint64(3*(i-plays)), time.Second+now
		case i >= turned:
			s = capture.Snapshot{State: capture.Opening}
		}
		at := o.take(after(now), s)
		if at.media.Restarted != (i == plays) {
			t.Errorf("sample %d: restarted %t", i, at.media.Restarted)
		}
		var alerts []warn.Alert
		last, alerts = d.Step(sample.Sample{At: after(now), Media: at.media, Session: at.session})
		for _, a := range alerts {
			if i > plays && a.Kind != warn.Clear {
				t.Errorf("%v after the lower source plays: %v", now-plays*sample.Interval, a)
			}
		}
	}
	if last.Health != warn.Excellent {
		t.Errorf("the lower source plays well, and the word is %s", last.Health)
	}
}

// A decoder gives the pictures that it held back all at once.
func TestNothingIsPredictedOfASessionThatBegins(t *testing.T) {
	for _, burst := range []uint64{1, 3, 20, 60} {
		o, d := &ownSession{}, warn.New(warn.Options{}, sample.Stream{})
		for i := range 300 {
			now := time.Duration(i) * sample.Interval
			s := capture.Snapshot{State: capture.Playing, Sessions: 1, Frames: burst + uint64(3*i), Newest: time.Second + now, NewestAt: after(now - time.Millisecond)}
			at := o.take(after(now), s)
			if _, alerts := d.Step(sample.Sample{At: after(now), Media: at.media, Session: at.session}); len(alerts) > 0 {
				t.Fatalf("%d pictures at once, after %v: %v", burst, now, alerts)
			}
		}
	}
}

func TestASessionsKeyFramesAreCountedOnce(t *testing.T) {
	o := &ownSession{}
	now := capture.Snapshot{State: capture.Playing, Sessions: 1, Frames: 1, Keys: 1, KeyAt: after(0)}
	if k := o.take(after(0), now).media.Keys; k != (sample.Keys{Known: true, Count: 1, At: after(0)}) {
		t.Errorf("the first: %+v", k)
	}
	now.Frames, now.Keys, now.KeyAt, now.GOP, now.GOPFrames = 31, 2, after(time.Second), time.Second, 30
	if k := o.take(after(time.Second), now).media.Keys; k != (sample.Keys{Known: true, Count: 1, At: after(time.Second), GOP: time.Second, GOPFrames: 30}) {
		t.Errorf("the second: %+v", k)
	}
	if k := o.take(after(2*time.Second), now).media.Keys; k.Count != 0 || k.GOP != 0 || k.At != after(time.Second) {
		t.Errorf("none since: %+v", k)
	}
	now.Sessions, now.Frames, now.Keys, now.KeyAt, now.GOP, now.GOPFrames = 2, 32, 1, after(3*time.Second), 0, 0
	if k := o.take(after(3*time.Second), now).media.Keys; k != (sample.Keys{Known: true, Count: 1, At: after(3 * time.Second)}) {
		t.Errorf("of a new session: %+v", k)
	}
}

func TestASessionThatIsClosedEndsOnce(t *testing.T) {
	o := &ownSession{}
	o.take(after(0), capture.Snapshot{State: capture.Playing, Sessions: 1, Frames: 1})
	closed := capture.Snapshot{State: capture.Closed, Sessions: 1, Frames: 1}
	if s := o.take(after(sample.Interval), closed); !s.media.Ended {
		t.Error("it ends")
	}
	if s := o.take(after(2*sample.Interval), closed); s.media.Ended || s.media.Known {
		t.Error("it ends once")
	}
}

func TestASessionsEndExplainsTheVerdict(t *testing.T) {
	o := &ownSession{id: sample.Stream{Source: "rtsp://camera/1"}}
	why := "the camera wants another user or password (401)"
	s := o.take(after(0), capture.Snapshot{State: capture.Waiting, Cause: capture.Credentials, Why: why, Restarts: 2})
	v := warn.Verdict{Health: warn.Unknown}
	alerts := []warn.Alert{{Cause: warn.Unclear}, {Cause: warn.Node}}
	s.explain(&v, alerts)
	if v.Health != warn.Unusable || v.Cause != warn.Camera || v.Evidence["session"].Detail != why || v.Evidence["session"].Value != 2 {
		t.Errorf("got %+v", v)
	}
	if alerts[0].Cause != warn.Camera || alerts[1].Cause != warn.Node {
		t.Errorf("what is clear stays: %+v", alerts)
	}
	if state, reason := o.state(); state != guard.Degraded || reason == "" {
		t.Errorf("state %v %q", state, reason)
	}
	// The reason stays while the next try is under way.
	s = o.take(after(sample.Interval), capture.Snapshot{State: capture.Opening, Restarts: 2})
	if s.cause != warn.Camera || s.why != why {
		t.Errorf("got %+v", s)
	}
	if state, _ := o.state(); state != guard.Recovering {
		t.Errorf("state %v", state)
	}
	s = o.take(after(2*sample.Interval), capture.Snapshot{State: capture.Playing, Sessions: 1, Frames: 1, Restarts: 2})
	if s.cause != "" {
		t.Errorf("it plays: %+v", s)
	}
}

func TestCountsOfAReplacedCaptureDoNotGoBack(t *testing.T) {
	o := &ownSession{}
	o.take(after(0), capture.Snapshot{State: capture.Playing, Sessions: 3, Frames: 1000, Errors: 7})
	s := o.take(after(sample.Interval), capture.Snapshot{State: capture.Playing, Sessions: 1, Frames: 2})
	if s.session.Frames != 2 || s.session.Errors != 0 || s.media.Frames != 2 {
		t.Errorf("got %+v", s)
	}
}

func TestChecksAreSharesOfTheFramesThatWereChecked(t *testing.T) {
	o := &ownSession{}
	o.take(after(0), capture.Snapshot{State: capture.Playing, Sessions: 1})
	s := o.take(after(checksOver), capture.Snapshot{State: capture.Playing, Sessions: 1, Checked: 10, Black: 5})
	if s.session.Black.Or(-1) != 0.5 || s.session.Frozen.Or(-1) != 0 {
		t.Errorf("got %+v", s.session)
	}
	s = o.take(after(2*checksOver), capture.Snapshot{State: capture.Playing, Sessions: 1, Checked: 10, Black: 5})
	if _, known := s.session.Black.Get(); known {
		t.Error("no frame was checked: that is not 0")
	}
}

func TestPlayerReplacesItsCaptureAndLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	p, err := newPlayer(capture.Options{
		Source: "rtsp://192.0.2.1/high", Worker: "/nowhere/debugsidecar-capture", Mode: capture.OnAlert, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.run(ctx) }()
	p.tell(true, capture.Marks{Verdict: "poor: network"})
	first := p.capture()
	if !p.ask(order{source: "rtsp://192.0.2.1/low"}) {
		t.Fatal("the order is not taken")
	}
	for end := time.Now().Add(20 * time.Second); p.capture() == first; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the capture is not replaced")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
