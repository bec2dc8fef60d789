package score

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Alert is a line of sidecar replay, as far as it is judged.
type Alert struct {
	At     float64 // seconds since the capture's start
	Stream string
	Src    string
	SSRC   uint32
	Kind   string
	Buffer float64
	// ETA is 0 where the line has none.
	ETA float64
	// Cause is the side that is blamed.
	Cause string
}

// ReadAlerts reads JSON lines. start is the capture's, in unix seconds.
func ReadAlerts(from io.Reader, start int64) ([]Alert, error) {
	var alerts []Alert
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var line struct {
			TS     time.Time `json:"ts"`
			Stream string    `json:"stream"`
			Src    string    `json:"src"`
			SSRC   uint32    `json:"ssrc"`
			Kind   string    `json:"kind"`
			Buffer float64   `json:"buffer_s"`
			ETA    float64   `json:"eta_s"`
			Cause  string    `json:"cause"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("alert %d: %w", n, err)
		}
		at := line.TS.Sub(time.Unix(start, 0)).Seconds()
		alerts = append(alerts, Alert{at, line.Stream, line.Src, line.SSRC, line.Kind, line.Buffer, line.ETA, line.Cause})
	}
	return alerts, lines.Err()
}

// WriteAlert writes an alert as sidecar replay does, so that a baseline's can be
// read by the same means.
func WriteAlert(to io.Writer, a Alert, start int64) error {
	line := struct {
		TS     string  `json:"ts"`
		Stream string  `json:"stream"`
		Src    string  `json:"src"`
		SSRC   uint32  `json:"ssrc"`
		Kind   string  `json:"kind"`
		Buffer float64 `json:"buffer_s,omitempty"`
	}{
		time.Unix(start, int64(a.At*1e9)).UTC().Format(time.RFC3339Nano), a.Stream, a.Src, a.SSRC, a.Kind, a.Buffer,
	}
	return json.NewEncoder(to).Encode(line)
}
