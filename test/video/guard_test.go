package video_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

// trap is a port on loopback that counts who comes.
func trap(t *testing.T) (address string, visits *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	visits = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			visits.Add(1)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String(), visits
}

// rtspThatAnswers is a server that gives DESCRIBE one answer.
func rtspThatAnswers(t *testing.T, answer string) string {
	t.Helper()
	proxy, err := peer.NewProxy("", 0, func(conn net.Conn) {
		requests := bufio.NewReader(conn)
		for {
			method, cseq := "", ""
			for {
				line, err := requests.ReadString('\n')
				if err != nil {
					return
				}
				line = strings.TrimSpace(line)
				if line == "" {
					break
				}
				if method == "" {
					method, _, _ = strings.Cut(line, " ")
				}
				if n, ok := strings.CutPrefix(line, "CSeq: "); ok {
					cseq = n
				}
			}
			if method == "DESCRIBE" {
				fmt.Fprintf(conn, answer, cseq)
			} else {
				fmt.Fprintf(conn, "RTSP/1.0 200 OK\r\nCSeq: %s\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n", cseq)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return proxy.URL
}

func TestRTSPRedirectsLeadNowhereForbidden(t *testing.T) {
	needs(t)
	for name, to := range map[string]string{
		"link-local":         "rtsp://169.254.169.254:8554/x",
		"link-local, IPv6":   "rtsp://[fe80::1]:8554/x",
		"link-local, mapped": "rtsp://[::ffff:169.254.169.254]:8554/x",
		"link-local, number": "rtsp://2852039166:8554/x",
		"metadata":           "rtsp://[fd00:ec2::254]:8554/x",
	} {
		t.Run(name, func(t *testing.T) {
			url := rtspThatAnswers(t, "RTSP/1.0 302 Moved\r\nCSeq: %s\r\nLocation: "+to+"\r\n\r\n")
			awaitFault(t, play(t, impatient(url)), capture.Refused, "must not")
		})
	}
	t.Run("another protocol", func(t *testing.T) {
		address, visits := trap(t)
		url := rtspThatAnswers(t, "RTSP/1.0 302 Moved\r\nCSeq: %s\r\nLocation: http://"+address+"/x\r\n\r\n")
		awaitFault(t, play(t, impatient(url)), capture.Camera, "")
		// ffmpeg takes any scheme for RTSP; what it connects to was looked at.
		if n := visits.Load(); n > 1 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("another camera is followed", func(t *testing.T) {
		server := camera(t, "")
		url := rtspThatAnswers(t, "RTSP/1.0 302 Moved\r\nCSeq: %s\r\nLocation: "+server.URL+"\r\n\r\n")
		await(t, play(t, impatient(url)), "playing", frames(10))
	})
}

func TestHTTPRedirectsLeadNowhereForbidden(t *testing.T) {
	needs(t)
	address, visits := trap(t)
	for name, to := range map[string]string{
		"link-local":       "http://169.254.169.254/latest/meta-data/",
		"link-local, IPv6": "http://[fe80::1]/",
		"a file":           "file:///etc/passwd",
		"RTSP":             "rtsp://" + address + "/",
		"another protocol": "gopher://" + address + "/",
	} {
		t.Run(name, func(t *testing.T) {
			url, stop, err := peer.Handler(http.RedirectHandler(to, http.StatusFound))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			awaitFault(t, play(t, impatient(url)), capture.Refused, "must not")
		})
	}
	if n := visits.Load(); n > 0 {
		t.Errorf("%d connections to where the redirects led", n)
	}
}

// What is played may itself be a list of what to play.
func TestPlaylistsOpenNothing(t *testing.T) {
	needs(t)
	address, visits := trap(t)
	for name, body := range map[string]string{
		"HLS":         "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://" + address + "/a.ts\n#EXT-X-ENDLIST\n",
		"HLS, file":   "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
		"concat":      "ffconcat version 1.0\nfile http://" + address + "/a.ts\n",
		"SDP":         "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 40000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
		"DASH":        `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>http://` + address + `/a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>`,
		"RTSP's file": "[Reference]\nRef1=http://" + address + "/a\n",
	} {
		t.Run(name, func(t *testing.T) {
			url, stop, err := peer.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			s := await(t, play(t, impatient(url)), "waiting", func(s capture.Snapshot) bool { return s.State == capture.Waiting })
			if s.Frames > 0 || s.Crashes > 0 || (s.Cause != capture.Camera && s.Cause != capture.Refused) {
				t.Errorf("%+v", s)
			}
		})
	}
	if n := visits.Load(); n > 0 {
		t.Errorf("%d connections to what the lists name", n)
	}
}

func TestChildKnowsNoSecretAndHasNoPower(t *testing.T) {
	t.Setenv("KUBERNETES_TOKEN", "t0ken")
	server := camera(t, "admin:s3kret")
	c := play(t, impatient(strings.Replace(server.URL, "://", "://admin:s3kret@", 1)))
	await(t, c, "playing", frames(1))
	pid := workers(t)[0]
	for _, file := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "s3kret") || strings.Contains(string(b), "t0ken") {
			t.Errorf("%s: %q", file, b)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("its status has no %q:\n%s", want, status)
		}
	}
}
