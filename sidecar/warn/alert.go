package warn

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/sample"
)

// Health is one word for how a stream is doing.
type Health string

// From best to worst. Unknown is before anything was seen.
const (
	Unknown   Health = "unknown"
	Excellent Health = "excellent"
	Fair      Health = "fair"
	Poor      Health = "poor"
	Unusable  Health = "unusable"
)

// Cause is where the trouble comes from; empty while there is none.
type Cause string

const (
	Camera  Cause = "camera"
	Network Cause = "network"
	Node    Cause = "node"
	Decoder Cause = "decoder"
	// Unclear is trouble that nothing seen explains.
	Unclear Cause = "unclear"
)

// Scope says of whom evidence was taken. What was seen only on ourselves
// (SidecarCgroup) never blames the node.
type Scope string

const (
	// PodNetwork is packets of the pod's network namespace.
	PodNetwork    Scope = "pod-network"
	PodSocket     Scope = "pod-socket"
	SidecarCgroup Scope = "sidecar-cgroup"
	NodePSI       Scope = "node-psi"
	AppCgroup     Scope = "app-cgroup"
	// OwnSession is the probe's own capture of the stream.
	OwnSession Scope = "own-session"
)

// Evidence is one figure that a verdict rests on.
type Evidence struct {
	Value float64 `json:"value"`
	// Unit is s, bytes, packets, share or percent.
	Unit  string `json:"unit"`
	Scope Scope  `json:"scope"`
	// Detail is a word where a number does not say it all: SOCKET_RCVBUFF.
	Detail string `json:"detail,omitempty"`
}

// Kind is what an alert says.
type Kind string

const (
	// Degraded: packets of a burst are being dropped; the picture suffers.
	Degraded Kind = "degraded"
	// StallPredicted: a viewer with the alert's buffer will see a stall.
	StallPredicted Kind = "stall-predicted"
	// Stalled: a viewer with the alert's buffer sees one now.
	Stalled Kind = "stall"
	// Clear ends what was raised for the same buffer.
	Clear Kind = "clear"
)

// Alert is one line for people and machines.
type Alert struct {
	// At is when it was raised, never earlier than it could have been.
	At     time.Time
	Stream sample.Stream
	Kind   Kind
	// Buffer is the depth of the viewers' playout buffer that the alert is about;
	// 0 for Degraded, which is about all.
	Buffer time.Duration
	// ETA is the time until the stall, in seconds; only StallPredicted has one.
	ETA sample.Figure
	// Confidence is 0 to 1.
	Confidence float64
	Cause      Cause
	Evidence   map[string]Evidence
}

// MarshalJSON gives the line's object; its keys are a contract.
func (a Alert) MarshalJSON() ([]byte, error) {
	line := struct {
		TS         string              `json:"ts"`
		Stream     string              `json:"stream"`
		Src        string              `json:"src,omitempty"`
		SSRC       uint32              `json:"ssrc"`
		Kind       Kind                `json:"kind"`
		Buffer     *float64            `json:"buffer_s,omitempty"`
		ETA        *float64            `json:"eta_s,omitempty"`
		Confidence float64             `json:"confidence,omitempty"`
		Cause      Cause               `json:"cause,omitempty"`
		Evidence   map[string]Evidence `json:"evidence"`
	}{
		TS: a.At.UTC().Format(time.RFC3339Nano), Stream: a.Stream.String(), SSRC: a.Stream.SSRC,
		Kind: a.Kind, Confidence: round(a.Confidence), Cause: a.Cause, Evidence: a.Evidence,
	}
	if a.Stream.Src.IsValid() {
		line.Src = a.Stream.Src.String()
	}
	if a.Buffer > 0 {
		seconds := a.Buffer.Seconds()
		line.Buffer = &seconds
	}
	if eta, known := a.ETA.Get(); known {
		eta = round(eta)
		line.ETA = &eta
	}
	if line.Evidence == nil {
		line.Evidence = map[string]Evidence{}
	}
	return json.Marshal(line)
}

func round(v float64) float64 { return math.Round(v*1000) / 1000 }

// String returns the alert for a log: "stall-predicted 10.0.0.7:5004 buffer 2s in 1.8s (network)".
func (a Alert) String() string {
	text := fmt.Sprintf("%s %s", a.Kind, a.Stream)
	if a.Buffer > 0 {
		text += fmt.Sprintf(" buffer %v", a.Buffer)
	}
	if eta, known := a.ETA.Get(); known {
		text += fmt.Sprintf(" in %.1fs", eta)
	}
	if a.Cause != "" {
		text += fmt.Sprintf(" (%s)", a.Cause)
	}
	return text
}

// Forecast is how long a viewer's buffer will last.
type Forecast struct {
	// Buffer is the viewer's playout depth in seconds.
	Buffer float64 `json:"buffer_s"`
	// Left is what the playout model has in the buffer, in seconds; below 0 the
	// viewer waits.
	Left sample.Figure `json:"left_s"`
	// ETA is the time until the stall, in seconds; null while none is in sight.
	ETA sample.Figure `json:"eta_s"`
	// Confidence is 0 to 1.
	Confidence float64 `json:"confidence"`
	Stalled    bool    `json:"stalled"`
}

// Verdict is what is thought of a stream at one moment.
type Verdict struct {
	Health   Health              `json:"health"`
	Cause    Cause               `json:"cause,omitempty"`
	Evidence map[string]Evidence `json:"evidence,omitempty"`
	// Forecasts has one entry a buffer depth, shallow ones first.
	Forecasts []Forecast `json:"forecasts,omitempty"`
	// SelfImpaired is set when the probe itself was short of CPU or memory: its
	// word is worth less then.
	SelfImpaired bool `json:"selfImpaired,omitempty"`
	// Blind says what this tier can't know of the stream, if that matters.
	Blind []string `json:"blind,omitempty"`
}
