package video_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

// impatient are settings under which faults show soon.
func impatient(source string) capture.Options {
	return capture.Options{
		Source: source, Mode: capture.Always,
		StallAfter: 500 * time.Millisecond, ReadTimeout: 3 * time.Second, OpenTimeout: 10 * time.Second,
	}
}

// awaitFault waits for a failed session and checks whose fault it is.
func awaitFault(t *testing.T, c *capture.Capture, cause capture.Cause, why string) capture.Snapshot {
	t.Helper()
	s := await(t, c, "waiting", func(s capture.Snapshot) bool { return s.State == capture.Waiting && s.Restarts > 0 })
	if s.Cause != cause || !strings.Contains(s.Why, why) || s.Crashes != 0 {
		t.Errorf("cause %q (%s), want %q (%s); %d crashes", s.Cause, s.Why, cause, why, s.Crashes)
	}
	return s
}

func TestCredentials(t *testing.T) {
	server := camera(t, "admin:s3kret!word")
	with := func(user string) string { return strings.Replace(server.URL, "://", "://"+user, 1) }
	t.Run("right ones play", func(t *testing.T) {
		await(t, play(t, impatient(with("admin:s3kret%21word@"))), "playing", frames(10))
	})
	for name, user := range map[string]string{"wrong": "admin:s3kret%21wrong@", "missing": ""} {
		t.Run(name+" ones are the cause", func(t *testing.T) {
			s := awaitFault(t, play(t, impatient(with(user))), capture.Credentials, "401")
			if strings.Contains(s.Why, "s3kret") {
				t.Errorf("the password is in %q", s.Why)
			}
		})
	}
}

func TestStalledCameraIsSeenAndItsReturnToo(t *testing.T) {
	server := camera(t, "")
	c := play(t, impatient(server.URL))
	await(t, c, "playing", frames(30))
	signal(t, server, unix.SIGSTOP)
	await(t, c, "stalled by the camera", func(s capture.Snapshot) bool {
		return s.State == capture.Stalled && s.Cause == capture.Camera
	})
	signal(t, server, unix.SIGCONT)
	before := c.Snapshot()
	s := await(t, c, "resumed", frames(before.Frames+30))
	if s.Cause != "" || s.Why != "" {
		t.Errorf("%+v", s)
	}
}

func TestCameraThatHangsIsGivenUpAndTriedAgain(t *testing.T) {
	server := camera(t, "")
	c := play(t, impatient(server.URL))
	await(t, c, "playing", frames(30))
	signal(t, server, unix.SIGSTOP)
	awaitFault(t, c, capture.Camera, "no frame for")
	signal(t, server, unix.SIGCONT)
	s := await(t, c, "played again", func(s capture.Snapshot) bool { return s.State == capture.Playing && s.Sessions == 2 })
	if s.Crashes != 0 || s.Restarts == 0 {
		t.Errorf("%+v", s)
	}
}

func signal(t *testing.T, s *peer.Server, sig unix.Signal) {
	t.Helper()
	if err := s.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func TestKilledServerIsTheCamerasFault(t *testing.T) {
	server := camera(t, "")
	c := play(t, impatient(server.URL))
	await(t, c, "playing", frames(30))
	server.Stop()
	awaitFault(t, c, capture.Camera, "")
	again, err := peer.RTSP(peer.Pattern(640, 360), "", server.Port())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Stop)
	await(t, c, "played again", func(s capture.Snapshot) bool { return s.State == capture.Playing && s.Sessions == 2 })
}

func TestEndOfTheStreamIsTheCamerasDoing(t *testing.T) {
	needs(t)
	pipeline := strings.Replace(peer.Pattern(640, 360), "pattern=ball", "pattern=ball num-buffers=60", 1)
	server, err := peer.RTSP(pipeline, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	s := awaitFault(t, play(t, impatient(server.URL)), capture.Camera, "")
	if s.Frames < 50 {
		t.Errorf("%d frames before the end, want 60", s.Frames)
	}
}

func TestPathThatIsNotThere(t *testing.T) {
	awaitFault(t, play(t, impatient(camera(t, "").URL+"/elsewhere")), capture.Camera, "404")
}

// A camera that breaks down in the middle of a frame, in all ways that a TCP
// connection can.
func TestHalfAFrame(t *testing.T) {
	server := camera(t, "")
	for _, test := range []struct {
		name string
		then func(net.Conn)
	}{{"then silence", peer.Hang}, {"then the end", peer.Cut}, {"then garbage", peer.Garbage}} {
		t.Run(test.name, func(t *testing.T) {
			proxy, err := peer.NewProxy(server.URL, 60_000, test.then)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(proxy.Stop)
			c := play(t, impatient(proxy.URL))
			s := awaitFault(t, c, capture.Camera, "")
			if s.Sessions != 1 || s.Frames == 0 {
				t.Errorf("%+v", s)
			}
			proxy.Limit.Store(0)
			await(t, c, "played again", func(s capture.Snapshot) bool { return s.State == capture.Playing && s.Sessions > 1 })
		})
	}
}

func TestWhatIsNoVideoIsTheCamerasFault(t *testing.T) {
	needs(t)
	for name, then := range map[string]func(net.Conn){
		"garbage": peer.Garbage, "nothing": peer.Hang, "the end at once": peer.Cut,
		"another protocol": func(c net.Conn) {
			fmt.Fprint(c, "220 mail.example ESMTP\r\n")
			peer.Hang(c)
		},
	} {
		t.Run("RTSP, "+name, func(t *testing.T) {
			proxy, err := peer.NewProxy("", 0, then)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(proxy.Stop)
			awaitFault(t, play(t, impatient(proxy.URL)), capture.Camera, "")
		})
		t.Run("HTTP, "+name, func(t *testing.T) {
			proxy, err := peer.NewProxy("", 0, func(c net.Conn) {
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n")
				then(c)
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(proxy.Stop)
			awaitFault(t, play(t, impatient(strings.Replace(proxy.URL, "rtsp:", "http:", 1))), capture.Camera, "")
		})
	}
}

func TestFLVWithFaults(t *testing.T) {
	needs(t)
	path := filepath.Join(t.TempDir(), "clip.flv")
	if err := peer.Clip(path, 640, 360, 4); err != nil {
		t.Fatal(err)
	}
	clip, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	half := clip[:len(clip)/2]
	for _, test := range []struct {
		name   string
		serve  func(w http.ResponseWriter, r *http.Request)
		cause  capture.Cause
		why    string
		frames uint64
	}{
		{"half a frame, then the end", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(clip)))
			_, _ = w.Write(half)
		}, capture.Camera, "unexpected EOF", 30},
		{"half a frame, then silence", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(half)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, capture.Camera, "", 30},
		{"all of it", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(clip) }, capture.Camera, "ended the stream", 100},
		{"garbage in the middle", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(half)
			_, _ = io.CopyN(w, bytes.NewReader(bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 50_000)), 200_000)
		}, capture.Camera, "", 30},
		{"401", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, capture.Credentials, "401", 0},
		{"404", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) }, capture.Camera, "404", 0},
		{"503", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, capture.Camera, "503", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, stop, err := peer.Handler(http.HandlerFunc(test.serve))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			s := awaitFault(t, play(t, impatient(url+"/live.flv")), test.cause, test.why)
			if s.Frames < test.frames {
				t.Errorf("%d frames came through, want %d at least", s.Frames, test.frames)
			}
		})
	}
}

func TestHostsThatCantBeReached(t *testing.T) {
	needs(t)
	deaf, stop, err := peer.Deaf()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for _, scheme := range []string{"rtsp://", "http://"} {
		for _, test := range []struct {
			name, host string
			cause      capture.Cause
			why        string
		}{
			{"no such name", "camera.invalid", capture.Network, ""},
			{"nothing listens", "127.0.0.1:1", capture.Camera, "refused"},
			{"no answer", deaf, capture.Network, "timeout"},
		} {
			t.Run(scheme+test.name, func(t *testing.T) {
				awaitFault(t, play(t, impatient(scheme+test.host+"/live")), test.cause, test.why)
			})
		}
	}
}
