package source_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
)

func TestOnlyStreamsArePlayedInAPod(t *testing.T) {
	for text, want := range map[string]source.Kind{
		"rtsp://camera/1":                  source.RTSP,
		"rtsps://user:p%40ss@camera:322/1": source.RTSP,
		"RTSP://camera/1":                  source.RTSP,
		"http://127.0.0.1:8080/live.flv":   source.HTTP,
		"https://camera/live.flv":          source.HTTP,
		"rtsp://[2001:db8::1]:554/1":       source.RTSP,
		"":                                 0,
		"/etc/shadow":                      0,
		"file:///etc/shadow":               0,
		"FILE:///etc/shadow":               0,
		"concat:/etc/passwd|/etc/shadow":   0,
		"subfile,,start,0,end,9,,:/etc/x":  0,
		"data:text/plain,hello":            0,
		"pipe:0":                           0,
		"tcp://camera:5000":                0,
		"udp://camera:5000":                0,
		"gopher://camera":                  0,
		"async:rtsp://camera/1":            0,
		"concat:rtsp://a/|rtsp://b/":       0,
		"/dev/video0":                      0,
		"0":                                0,
		"rtsp:///1":                        0,
		"rtsp://:554/1":                    0,
		"rtsp://169.254.169.254/latest":    0,
		"http://[fe80::1]/":                0,
		"http://[fe80::1%25eth0]/":         0,
		"http://[::ffff:169.254.169.254]/": 0,
		"http://[64:ff9b::a9fe:a9fe]/":     0,
		"http://[2002:a9fe:a9fe::1]/":      0,
		"http://[fd00:ec2::254]/":          0,
		"http://100.100.100.200/":          0,
		"http://user:pa ss@camera/":        0,
	} {
		s, err := source.Parse(text, false)
		if s.Kind != want || (err == nil) != (want != 0) {
			t.Errorf("%q is of kind %d (%v), want %d", text, s.Kind, err, want)
		}
	}
}

func TestFilesAndCamerasArePlayedAlone(t *testing.T) {
	for text, want := range map[string]source.Source{
		"/dev/video0":         {Kind: source.Device, Path: "/dev/video0"},
		"/dev/video12":        {Kind: source.Device, Path: "/dev/video12"},
		"clip.mp4":            {Kind: source.File, Path: "clip.mp4"},
		"file:///tmp/a.mp4":   {Kind: source.File, Path: "/tmp/a.mp4"},
		"/dev/video0/../zero": {Kind: source.File, Path: "/dev/video0/../zero"},
		"concat:a|b":          {Kind: source.File, Path: "concat:a|b"},
	} {
		if s, err := source.Parse(text, true); err != nil || s != want {
			t.Errorf("%q is %+v (%v), want %+v", text, s, err, want)
		}
	}
}

func TestErrorsNeverHaveThePassword(t *testing.T) {
	for _, text := range []string{
		"rtsp://user:sekret@169.254.169.254/", "rtsp://user:sekret%zz@camera/", "http://user:sek ret@camera/",
		"gopher://user:sekret@camera/", "sekretsekretsekret://x", "rtsp://user:sekret@/",
	} {
		if _, err := source.Parse(text, false); err == nil || strings.Contains(err.Error(), "ret@") || strings.Contains(err.Error(), "sekretsekretsekret") || strings.Contains(err.Error(), ":sekret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLinkLocalIsNeverReached(t *testing.T) {
	for text, refused := range map[string]bool{
		"169.254.0.1": true, "169.254.169.254": true, "fe80::1": true, "fe80::1%eth0": true, "febf::1": true,
		"ff02::1": true, "224.0.0.1": true, "::ffff:169.254.1.1": true,
		"127.0.0.1": false, "::1": false, "10.0.0.7": false, "192.168.1.9": false, "169.253.0.1": false,
		"8.8.8.8": false, "239.1.2.3": false, "64:ff9b::808:808": false, "fec0::1": false,
	} {
		err := source.Reachable(netip.MustParseAddr(text))
		if errors.Is(err, source.ErrAddress) != refused {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"rtsp://u:p@h/1", "http://169.254.1.1", "/dev/video0", "concat:a|b", "http://[::ffff:a9fe:1]/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := source.Parse(text, false)
		if err != nil {
			return
		}
		if (s.Kind != source.RTSP && s.Kind != source.HTTP) || s.URL == nil || s.URL.Hostname() == "" || s.Path != "" {
			t.Errorf("%q is played in a pod as %+v", text, s)
		}
		if a, err := netip.ParseAddr(s.URL.Hostname()); err == nil && source.Reachable(a) != nil {
			t.Errorf("%q reaches %v", text, a)
		}
	})
}
