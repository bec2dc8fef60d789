//go:build cgo && customenv

package main

import (
	"errors"
	"testing"

	"gocv.io/x/gocv"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
)

func TestTheGateIsInPlace(t *testing.T) {
	if err := gateWorks(); err != nil {
		t.Error(err)
	}
}

// What ffmpeg connects to comes through the gate, by whatever protocol.
func TestFFmpegsConnectionsAreLookedAt(t *testing.T) {
	for _, url := range []string{"tcp://169.254.169.254:80", "rtsp://[fe80::1]:554/1", "http://169.254.169.254/latest", "rtsp://100.100.100.200/"} {
		lastRefused.Store(nil)
		t.Setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;tcp,http,rtsp,udp,rtp|timeout;1000000")
		if capture, err := gocv.VideoCaptureFileWithAPI(url, gocv.VideoCaptureFFmpeg); err == nil && capture.IsOpened() {
			t.Errorf("%s is open", url)
		}
		if refused := lastRefused.Load(); refused == nil || !errors.Is(*refused, source.ErrAddress) {
			t.Errorf("%s was not refused", url)
		}
	}
}

func TestSocketAddressesAreRead(t *testing.T) {
	inet4 := []byte{unix.AF_INET, 0, 0x1f, 0x90, 169, 254, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0}
	inet6 := append([]byte{unix.AF_INET6, 0, 0x1f, 0x90, 0, 0, 0, 0, 0xfe, 0x80}, make([]byte, 18)...)
	for want, b := range map[string][]byte{"169.254.1.2": inet4, "fe80::": inet6} {
		if a, ok := socketAddress(b); !ok || a.String() != want {
			t.Errorf("%v is %v, want %s", b, a, want)
		}
	}
	for _, b := range [][]byte{nil, {unix.AF_INET}, inet4[:8], inet6[:20], {unix.AF_UNIX, 0, '/', 'x'}} {
		if a, ok := socketAddress(b); ok {
			t.Errorf("%v is %v", b, a)
		}
	}
}
