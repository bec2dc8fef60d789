package capture

import (
	"bufio"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/debugsidecar/debugsidecar/sidecar/capture/wire"
)

// mostMessages is more a second than any camera has frames.
const mostMessages = 1000

// listen reads what the child says. For a frame it allocates nothing.
func (s *session) listen() {
	defer close(s.ended)
	limit := rate.NewLimiter(mostMessages, mostMessages)
	buf := make([]byte, wire.MaxMessage)
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			return
		}
		if !limit.Allow() {
			err = errors.New("the capture program says more than it should")
		} else {
			err = s.hear(buf[:n])
		}
		if err != nil {
			s.mu.Lock()
			s.broken = err
			s.mu.Unlock()
			return
		}
		if s.said() {
			return
		}
	}
}

// said is whether the child has said its last.
func (s *session) said() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report.State != ""
}

func (s *session) hear(message []byte) error {
	now := time.Now()
	if wire.IsFrame(message) {
		f, err := wire.ParseFrame(message)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.heard, s.frameAt = now, now
		if s.firstAt.IsZero() {
			s.firstAt = now
		}
		s.mu.Unlock()
		s.c.took(f)
		return nil
	}
	var r wire.Report
	if !wire.IsAlive(message) {
		var err error
		if r, err = wire.ParseReport(message); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = now
	if r.State == wire.Ended || r.State == wire.Failed {
		s.report = r
	}
	return nil
}

// readErrors reads what ffmpeg and the child's runtime complain of.
func (s *session) readErrors() {
	lines := bufio.NewScanner(s.errors)
	lines.Buffer(make([]byte, 4096), 4096)
	limit := rate.NewLimiter(5, 20)
	for lines.Scan() {
		line := s.c.redact.text(strings.ToValidUTF8(lines.Text(), "?"))
		cause, why, decoderError := classify(line)
		s.mu.Lock()
		playing := !s.firstAt.IsZero()
		s.mu.Unlock()
		// Before the first frame there are errors by nature: who comes in between two
		// key frames has nothing to decode from.
		if decoderError && playing {
			s.c.mu.Lock()
			s.c.now.Errors++
			if row, known := brokenRow(line); known && (s.c.lostRow == 0 || row < s.c.lostRow) {
				s.c.lostRow = row
			}
			s.c.mu.Unlock()
		}
		s.mu.Lock()
		if cause != NoCause {
			s.hint, s.hintWhy = cause, why
		}
		if last, ok := lastWords(line); ok && s.lastLine == "" {
			s.lastLine = last
		}
		s.mu.Unlock()
		if limit.Allow() {
			s.c.o.Log.Debug("the capture program says", "line", line)
		}
	}
	// A line that is too long ends the scan; the rest is read for nothing, so
	// that the child does not block.
	buf := make([]byte, 4096)
	for {
		if _, err := s.errors.Read(buf); err != nil {
			return
		}
	}
}

// brokenAt is what ffmpeg says of a macroblock, by column and row, that it can't
// decode.
var brokenAt = regexp.MustCompile(`error while decoding MB \d{1,4} (\d{1,4})\b`)

func brokenRow(line string) (int, bool) {
	m := brokenAt.FindStringSubmatch(line)
	if m == nil {
		return 0, false
	}
	row, err := strconv.Atoi(m[1])
	return row, err == nil
}

// lastWords finds why the child ended itself: its own error, or the first line
// of a crash in Go or in C.
func lastWords(line string) (string, bool) {
	if own, ok := strings.CutPrefix(line, "capture worker: "); ok {
		return own, true
	}
	for _, start := range []string{"SIG", "panic: ", "fatal error: ", "terminate called"} {
		if strings.HasPrefix(line, start) {
			return "crashed: " + line, true
		}
	}
	return "", false
}
