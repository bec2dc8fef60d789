package capture

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/source"
	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// Cause is whose fault it is that there are no frames.
type Cause = wire.Cause

const (
	NoCause     = wire.NoCause
	Camera      = wire.Camera
	Network     = wire.Network
	Decoder     = wire.Decoder
	Credentials = wire.Credentials
	Refused     = wire.Refused
)

// messages are what ffmpeg says when it can't open or go on, and whose fault it
// is. OpenCV itself only says that it could not. The first that fits counts.
var messages = []struct {
	text  string
	cause Cause
	why   string
}{
	{"401 Unauthorized", Credentials, "the camera wants another user or password (401)"},
	{"403 Forbidden", Credentials, "the camera does not let this user see the stream (403)"},
	{"404 Not Found", Camera, "the camera has no stream by this path (404)"},
	{"453 Not Enough Bandwidth", Camera, "the camera serves no more sessions (453)"},
	{"461 Unsupported", Camera, "the camera does not offer this transport (461)"},
	{"503 Service Unavailable", Camera, "the camera can't serve the stream now (503)"},
	{"Redirecting to", Camera, "the camera sends its clients elsewhere"},
	{"Connection refused", Camera, "nothing listens at the camera's port"},
	{"Connection timed out", Network, "the connection timed out"},
	{"No route to host", Network, "no route to the camera"},
	{"Network is unreachable", Network, "the camera's network is unreachable"},
	{"Connection reset by peer", Camera, "the camera broke the connection"},
	{"Protocol not found", Refused, "the stream leads to a protocol that is not allowed"},
	{"not on whitelist", Refused, "the stream leads to a protocol that is not allowed"},
	{"Could not find codec parameters", Camera, "the camera sends no picture that can be decoded"},
	{"Invalid data found", Camera, "what the camera sends is no video that can be played"},
	{"Server returned 4", Camera, "the server has no such stream"},
	{"Server returned 5", Camera, "the server failed"},
}

// decoderErrors are parts of what ffmpeg says of frames that it could not
// decode, or not whole.
var decoderErrors = []string{
	"error while decoding", "decode_slice_header error", "no frame!", "Invalid NAL", "concealing",
	"Missing reference picture", "cabac decode of", "out of range intra chroma", "non-existing PPS", "Error splitting",
	"corrupted macroblock", "negative number of zero coeffs",
}

// classify reads one line of ffmpeg's. The line may be anything.
func classify(line string) (cause Cause, why string, decoderError bool) {
	for _, part := range decoderErrors {
		if strings.Contains(line, part) {
			return NoCause, "", true
		}
	}
	for _, m := range messages {
		if strings.Contains(line, m.text) {
			return m.cause, m.why, false
		}
	}
	return NoCause, "", false
}

// answers says whether the source's host can be reached; one that refuses the
// connection is. A silent source whose host answers is the camera's fault, else
// it is the network's. Files always answer.
func answers(ctx context.Context, s source.Source, timeout time.Duration) bool {
	if s.URL == nil {
		return true
	}
	port := s.URL.Port()
	if port == "" {
		port = map[string]string{"rtsp": "554", "rtsps": "322", "http": "80", "https": "443"}[s.URL.Scheme]
	}
	dialer := net.Dialer{
		Timeout: timeout,
		Control: func(_, address string, _ syscall.RawConn) error { return source.Control(address) },
	}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.URL.Hostname(), port))
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	conn.Close()
	return true
}
