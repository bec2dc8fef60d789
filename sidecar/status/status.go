// Package status is what the probe tells of itself: the document behind
// /api/v1/status, the page and the metrics, so that they can't contradict each
// other.
package status

import (
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/qos"
	"github.com/debugsidecar/debugsidecar/sidecar/sample"
	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// Status is the probe at one moment. It is built anew each time and never
// changed once it is published.
type Status struct {
	At        time.Time `json:"at"`
	Version   string    `json:"version"`
	Pod       string    `json:"pod,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	// State is the lifecycle's: Initializing, Ready, Degraded, Recovering,
	// Stopping or Stopped; Why says why it is not Ready.
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
	// Tier is user or kernel; NotAvailable says what can't be had and what it
	// would take, by figure.
	Tier         string            `json:"tier"`
	NotAvailable map[string]string `json:"notAvailable,omitempty"`
	// Health is that of the worst stream.
	Health  warn.Health `json:"health"`
	Cause   warn.Cause  `json:"cause,omitempty"`
	Streams []Stream    `json:"streams"`
	Node    sample.Node `json:"node"`
	Capture *Capture    `json:"capture,omitempty"`
	// Drops are the kernel's of this pod since the start, by reason.
	Drops []Drops `json:"drops,omitempty"`
	// Advice is what a person may change, in plain words.
	Advice []string `json:"advice,omitempty"`
	// Stats is what the probe itself missed.
	Stats map[string]uint64 `json:"stats,omitempty"`
}

// Stream is one watched stream.
type Stream struct {
	// Key is unique, Name is the receiver's ip:port or the masked URL.
	Key         string       `json:"key"`
	Name        string       `json:"name"`
	Src         string       `json:"src,omitempty"`
	SSRC        uint32       `json:"ssrc"`
	Transport   string       `json:"transport"` // udp, tcp or session
	Direction   string       `json:"direction,omitempty"`
	PayloadType uint8        `json:"payloadType,omitempty"`
	Since       time.Time    `json:"since"`
	Verdict     warn.Verdict `json:"verdict"`
	Window      qos.Window   `json:"window"`
	// Totals are counters since the stream was first seen.
	Totals Totals `json:"totals"`
}

// Totals are a stream's counters.
type Totals struct {
	Packets     uint64 `json:"packets"`
	Bytes       uint64 `json:"bytes"`
	Frames      uint64 `json:"frames"`
	Lost        uint64 `json:"lost"`
	Reordered   uint64 `json:"reordered"`
	Duplicates  uint64 `json:"duplicates"`
	KernelDrops uint64 `json:"kernelDrops"`
	PLI         uint64 `json:"pli"`
	NACK        uint64 `json:"nack"`
	Stalls      uint64 `json:"stalls"`
}

// Drops are packets of one kind that the kernel dropped.
type Drops struct {
	Reason string `json:"reason"`
	Class  string `json:"class"` // loss or noise
	Family string `json:"family"`
	Proto  string `json:"proto"`
	Count  uint64 `json:"count"`
}

// Capture is the probe's own session of the stream.
type Capture struct {
	// Source is the URL without its password.
	Source string `json:"source"`
	Mode   string `json:"mode"` // onAlert, sampled or always
	// State is closed, opening, playing, stalled, waiting (for the next try) or
	// absent (no worker here); Why says why.
	State    string  `json:"state"`
	Why      string  `json:"why,omitempty"`
	Restarts uint64  `json:"restarts"`
	Frames   uint64  `json:"frames"`
	Late     uint64  `json:"late"`
	Errors   uint64  `json:"errors"`
	Width    int     `json:"width,omitempty"`
	Height   int     `json:"height,omitempty"`
	FPS      float64 `json:"fps,omitempty"`
	// Lower is set while the source of lower resolution is played instead.
	Lower *Lower `json:"lower,omitempty"`
}

// Lower is the turn to the source of lower resolution.
type Lower struct {
	// Source is its URL without its password.
	Source string    `json:"source"`
	Since  time.Time `json:"since"`
	// Until is when the source is tried again if there is no trouble until then;
	// absent: never.
	Until *time.Time `json:"until,omitempty"`
}
