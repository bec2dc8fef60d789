// Package peer starts real video servers on loopback for tests: GStreamer's RTSP
// server and ffmpeg. Each ends with the process that started it.
package peer

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/launch"
	"github.com/debugsidecar/debugsidecar/test/freeport"
)

// Packages are Debian's that the peers need.
const Packages = "ffmpeg gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-{base,good,bad,ugly} gstreamer1.0-libav"

const python = "/usr/bin/python3" // Debian's, which has the bindings

// Missing says what has to be installed, if anything.
func Missing() string {
	_, err := exec.LookPath("ffmpeg")
	if err != nil || exec.Command(python, "-c", `import gi; gi.require_version("GstRtspServer", "1.0")`).Run() != nil {
		return Packages
	}
	return ""
}

//go:embed rtspserver.py
var rtspServer string

// Pattern is a pipeline that encodes a moving pattern like a camera: 30
// frames/s with a key frame each second.
func Pattern(width, height int) string {
	return fmt.Sprintf("( videotestsrc is-live=true pattern=ball ! video/x-raw,width=%d,height=%d,framerate=30/1 ! "+
		"x264enc tune=zerolatency speed-preset=ultrafast bitrate=1500 key-int-max=30 ! rtph264pay name=pay0 pt=96 config-interval=1 )", width, height)
}

// Server is one peer.
type Server struct {
	// URL is what to play.
	URL   string
	child *launch.Child
	files []*os.File
}

// RTSP starts GStreamer's RTSP server. User is "name:password" or empty; port 0
// is any.
func RTSP(pipeline, user string, port int) (*Server, error) {
	return rtsp(nil, pipeline, "--user", user, "--port", strconv.Itoa(port))
}

// Secure starts GStreamer's RTSP server over TLS, with a PEM file of certificate
// and key.
func Secure(pipeline, user, pem string) (*Server, error) {
	s, err := rtsp(nil, pipeline, "--user", user, "--tls", pem)
	if err == nil {
		s.URL = strings.Replace(s.URL, "rtsp:", "rtsps:", 1)
	}
	return s, err
}

// Raw starts GStreamer's RTSP server with what is written to frames as its
// camera: 30 frames/s of width*height*3/2 bytes (I420). They are read while
// somebody plays.
func Raw(width, height, kilobits int, frames *os.File) (*Server, error) {
	pipeline := fmt.Sprintf("( appsrc name=camera is-live=true do-timestamp=true format=time block=false max-buffers=1 leaky-type=downstream "+
		"caps=video/x-raw,format=I420,width=%d,height=%d,framerate=30/1 ! "+
		"x264enc tune=zerolatency speed-preset=ultrafast bitrate=%d key-int-max=60 ! rtph264pay name=pay0 pt=96 config-interval=1 )", width, height, kilobits)
	return rtsp(frames, pipeline, "--frame", strconv.Itoa(width*height*3/2))
}

func rtsp(frames *os.File, args ...string) (*Server, error) {
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer inR.Close()
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, inW.Close())
	}
	defer outW.Close()
	spec := launch.Spec{Path: python, Args: append([]string{"-c", rtspServer}, args...), Env: os.Environ(), Stdin: inR, Stdout: outW, Stderr: os.Stderr}
	if frames != nil {
		spec.ExtraFiles = []*os.File{frames}
	}
	child, err := launch.Start(spec)
	if err != nil {
		return nil, errors.Join(err, inW.Close(), outR.Close())
	}
	s := &Server{child: child, files: []*os.File{inW, outR}}
	_ = outR.SetReadDeadline(time.Now().Add(time.Minute))
	line, err := bufio.NewReader(outR).ReadString('\n')
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("the RTSP server does not start: %w", err)
	}
	s.URL = "rtsp://127.0.0.1:" + strings.TrimSpace(line) + "/live"
	return s, nil
}

// FLV starts ffmpeg as an HTTP server that serves a moving pattern to one
// client.
func FLV(width, height int) (*Server, error) {
	free, err := freeport.Find(1)
	if err != nil {
		return nil, err
	}
	port := free[0]
	url := fmt.Sprintf("http://127.0.0.1:%d/live.flv", port)
	child, err := launch.Start(launch.Spec{
		Path: "ffmpeg",
		Args: []string{"-loglevel", "error", "-re", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=30", width, height),
			"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30", "-pix_fmt", "yuv420p",
			"-f", "flv", "-listen", "1", url},
		Env: os.Environ(),
	})
	if err != nil {
		return nil, err
	}
	s := &Server{URL: url, child: child}
	return s, listening(port)
}

// listening waits for a port without connecting to it, since ffmpeg serves its
// first client only.
func listening(port int) error {
	want := fmt.Sprintf(":%04X ", port)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		data, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) > 3 && strings.HasSuffix(f[1]+" ", want) && f[3] == "0A" {
				return nil
			}
		}
	}
	return fmt.Errorf("nothing listens on port %d", port)
}

// Port is the server's.
func (s *Server) Port() int {
	_, rest, _ := strings.Cut(s.URL, "127.0.0.1:")
	port, _, _ := strings.Cut(rest, "/")
	n, _ := strconv.Atoi(port)
	return n
}

// Signal sends a signal to the server: STOP is a camera that hangs.
func (s *Server) Signal(sig syscall.Signal) error { return s.child.Signal(sig) }

// Stop ends the server at once.
func (s *Server) Stop() {
	s.child.Kill()
	for _, f := range s.files {
		f.Close()
	}
}

// Clip writes a file of a moving pattern.
func Clip(path string, width, height int, seconds float64) error {
	out, err := exec.Command("ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi",
		"-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=30:duration=%g", width, height, seconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-pix_fmt", "yuv420p", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, out)
	}
	return nil
}
