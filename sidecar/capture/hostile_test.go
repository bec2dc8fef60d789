package capture

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

// start runs a capture with a fake until the test ends. A child without
// capabilities must be able to read the test's program.
func start(t *testing.T, fake string, change func(*Options)) (*Capture, *logged) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	log := &logged{}
	o := Options{
		Source: "rtsp://admin:s3kret@127.0.0.1:9/1", Mode: Always, Worker: fakeWorker(t, fake),
		OpenTimeout: 20 * time.Second, StallAfter: 200 * time.Millisecond, ReadTimeout: 20 * time.Second, HangTimeout: 20 * time.Second,
		RetryFrom: time.Minute, RetryTo: time.Minute, MemoryLimit: 256 << 20,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		goleak.VerifyNone(t, leaks)
		if strings.Contains(log.String(), "s3kret") {
			t.Errorf("the password is in the log:\n%s", log)
		}
		if t.Failed() {
			t.Logf("%+v\n%.2000s", c.Snapshot(), log)
		}
	})
	return c, log
}

// logged is a log that is read while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func await(t *testing.T, c *Capture, what string, is func(Snapshot) bool) Snapshot {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s := c.Snapshot(); is(s) {
			return s
		}
	}
	t.Fatalf("never %s: %+v", what, c.Snapshot())
	return Snapshot{}
}

func waiting(s Snapshot) bool { return s.State == Waiting }

func TestBadChildNeverTakesTheProbeDown(t *testing.T) {
	for _, test := range []struct {
		fake, why string
		change    func(*Options)
	}{
		{"exits", "status 3", nil},
		{"panics", "crashed: panic: index out of range", nil},
		{"mute", "hung", func(o *Options) { o.HangTimeout, o.OpenTimeout = 3*time.Second, 2*time.Second }},
		{"garbage", "report", nil},
		{"too long", "report", nil},
		{"picture of 4 GiB", "out of range", nil},
		{"floods", "more than it should", nil},
		{"grows", "grew", nil},
		{"hangs up", "", nil},
		{"leaves a child", "status 0", nil},
	} {
		t.Run(test.fake, func(t *testing.T) {
			c, _ := start(t, test.fake, test.change)
			s := await(t, c, "waiting", waiting)
			if s.Cause != Decoder || !strings.Contains(s.Why, test.why) || s.Restarts != 1 || s.Crashes != 1 {
				t.Errorf("%+v, want the decoder as cause, %s", s, test.why)
			}
			if strings.Contains(s.Why, "s3kret") {
				t.Errorf("the password is in %q", s.Why)
			}
		})
	}
}

func TestChildCantReadTokens(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(fileVariable, token)
	for hide, want := range map[string]string{"": "read: <nil>", token: "permission denied", filepath.Dir(token): "permission denied"} {
		c, log := start(t, "reads tokens", func(o *Options) {
			if hide != "" {
				o.Hide = []string{hide}
			}
		})
		s := await(t, c, "waiting", waiting)
		if strings.Contains(log.String(), "could read this container's files") {
			t.Skip("this kernel has no Landlock")
		}
		if !strings.Contains(s.Why, want) {
			t.Errorf("hidden %q: %s", hide, s.Why)
		}
	}
}

func TestChildThatDoesNotListenIsNoHang(t *testing.T) {
	c, _ := start(t, "deaf", func(o *Options) { o.OpenTimeout = 2 * time.Second })
	marks := Marks{Verdict: strings.Repeat("x", 100), Boxes: make([]Box, 32)}
	deadline := time.Now().Add(time.Minute)
	for c.Snapshot().State != Waiting {
		if time.Now().After(deadline) {
			t.Fatalf("never given up: %+v", c.Snapshot())
		}
		c.Mark(marks)
		time.Sleep(time.Millisecond)
	}
}

func TestChildThatShoutsIsHeardOut(t *testing.T) {
	c, log := start(t, "shouts", nil)
	await(t, c, "playing", func(s Snapshot) bool { return s.Frames >= 50 })
	if n := len(log.String()); n > 1<<20 {
		t.Errorf("%d bytes were logged", n)
	}
}

func TestSilentSourceIsTheCamerasFaultIfItsHostAnswers(t *testing.T) {
	deaf, stop, err := peer.Deaf()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for address, cause := range map[string]Cause{"127.0.0.1:9": Camera, deaf: Network} {
		c, _ := start(t, "stops playing", func(o *Options) {
			o.Source, o.ReadTimeout = "rtsp://"+address+"/1", 8*time.Second // its host has 2 s to answer
		})
		await(t, c, "stalled for a cause", func(s Snapshot) bool { return s.State == Stalled && s.Cause == cause })
		s := await(t, c, "waiting", waiting)
		if s.Cause != cause || s.Crashes != 0 || s.Sessions != 1 {
			t.Errorf("%s: %+v", address, s)
		}
	}
}

func TestSessionEndsWhenNobodyNeedsItAndBeginsAnew(t *testing.T) {
	c, _ := start(t, "plays", func(o *Options) { o.Mode = OnAlert; o.Quiet = 50 * time.Millisecond })
	time.Sleep(200 * time.Millisecond)
	if s := c.Snapshot(); s.State != Closed || s.Frames != 0 {
		t.Errorf("without alert: %+v", s)
	}
	for i := range 3 {
		c.Alert(true)
		await(t, c, "playing", func(s Snapshot) bool { return s.State == Playing && s.Sessions == uint64(i+1) })
		c.Alert(false)
		s := await(t, c, "closed", func(s Snapshot) bool { return s.State == Closed })
		if s.Restarts != 0 || s.WorkerBytes != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestFailuresInARowOpenTheCircuit(t *testing.T) {
	c, _ := start(t, "exits", func(o *Options) {
		o.RetryFrom, o.RetryTo, o.BreakAfter, o.BreakFor = time.Millisecond, 2*time.Millisecond, 3, 10*time.Minute
	})
	s := await(t, c, "paused", func(s Snapshot) bool {
		return s.State == Waiting && strings.Contains(s.Why, "no try for 10m0s after 3")
	})
	time.Sleep(300 * time.Millisecond)
	if after := c.Snapshot(); after.Restarts != s.Restarts || s.Restarts != 3 {
		t.Errorf("%d tries, then %d", s.Restarts, after.Restarts)
	}
}

func TestCircuitClosesAgain(t *testing.T) {
	c, _ := start(t, "exits", func(o *Options) {
		o.RetryFrom, o.RetryTo, o.BreakAfter, o.BreakFor = time.Millisecond, 2*time.Millisecond, 3, 100*time.Millisecond
	})
	await(t, c, "tried again", func(s Snapshot) bool { return s.Restarts >= 6 })
}

func TestWithoutWorkerOrAllowedSourceAllElseWorks(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"not there": func(o *Options) { o.Worker = "/nonexistent/worker" },
		"none":      func(o *Options) { o.Worker = "" },
		"a file":    func(o *Options) { o.Source = "/etc/passwd" },
		"metadata":  func(o *Options) { o.Source = "http://169.254.169.254/" },
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := start(t, "plays", change)
			c.WantPictures(true)
			s := await(t, c, "absent", func(s Snapshot) bool { return s.State == Absent })
			if s.Why == "" {
				t.Errorf("%+v", s)
			}
			if _, _, ok := c.Picture(0); ok {
				t.Error("there is a picture")
			}
		})
	}
}
