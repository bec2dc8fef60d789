package push

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// encode returns the request's body. What a receiver knows an alert by must not
// change while it is on; so cause and figures are annotations, not labels.
func (s *sender) encode(entries []entry, now time.Time) (body []byte, contentType string, err error) {
	switch s.receiver.Kind {
	case WebhookLines:
		var lines bytes.Buffer
		out := json.NewEncoder(&lines)
		for _, e := range entries {
			if err := out.Encode(e.alert); err != nil {
				return nil, "", err
			}
		}
		return lines.Bytes(), "application/x-ndjson", nil
	case Webhook:
		alerts := make([]warn.Alert, len(entries))
		for i, e := range entries {
			alerts[i] = e.alert
		}
		body, err = json.Marshal(alerts)
	default:
		alerts := make([]postable, len(entries))
		for i, e := range entries {
			alerts[i] = s.postable(e, now)
		}
		body, err = json.Marshal(alerts)
	}
	return body, "application/json", err
}

// postable is an alert of Alertmanager's API v2.
type postable struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// names are what Alertmanager's users see.
var names = map[warn.Kind]struct{ name, severity, summary string }{
	warn.Degraded:       {"VideoDegraded", "warning", "%s loses packets"},
	warn.StallPredicted: {"VideoStallPredicted", "critical", "%s is about to stall"},
	warn.Stalled:        {"VideoStalled", "critical", "%s stalls"},
}

// endsAfterRepeats is after how many repeats that did not come an alert ends by
// itself.
const endsAfterRepeats = 4

func (s *sender) postable(e entry, now time.Time) postable {
	a, known := e.alert, names[e.key.kind]
	p := postable{
		Labels: maps.Clone(s.opts.Labels), StartsAt: e.started, EndsAt: e.ended,
		Annotations: map[string]string{"summary": fmt.Sprintf(known.summary, a.Stream), "description": a.String()},
	}
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	p.Labels["alertname"], p.Labels["severity"] = known.name, known.severity
	p.Labels["stream"], p.Labels["kind"] = a.Stream.String(), string(e.key.kind)
	if a.Stream.Src.IsValid() {
		p.Labels["src"] = a.Stream.Src.String()
		p.Labels["ssrc"] = strconv.FormatUint(uint64(a.Stream.SSRC), 10)
	}
	if a.Buffer > 0 {
		p.Labels["buffer_s"] = seconds(a.Buffer.Seconds())
		p.Annotations["summary"] += fmt.Sprintf(" for viewers with a buffer of %s s", seconds(a.Buffer.Seconds()))
	}
	if a.Cause != "" {
		p.Annotations["cause"] = string(a.Cause)
	}
	if eta, known := a.ETA.Get(); known {
		p.Annotations["eta_s"] = strconv.FormatFloat(eta, 'f', 1, 64)
	}
	if line, err := json.Marshal(a); err == nil {
		p.Annotations["alert"] = string(line)
	}
	if p.EndsAt.IsZero() {
		p.EndsAt = now.Add(endsAfterRepeats * s.opts.Repeat)
	} else if !p.EndsAt.After(p.StartsAt) {
		p.EndsAt = p.StartsAt.Add(time.Millisecond) // Alertmanager wants some time between them
	}
	return p
}

func seconds(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
