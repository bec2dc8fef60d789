// Package push brings alerts to receivers as they are raised: to Alertmanager,
// and to any webhook. A scrape and a rule take half a minute, which a warning of
// seconds does not have.
//
// Alert never waits. Each receiver has a queue and a connection of its own, so
// one that is slow or dead delays no other. What a queue can't hold is dropped,
// what is degraded first and stalls last, and counted. A request that fails is
// tried again, less and less often, with what came meanwhile; one that is refused
// (4xx) is given up.
//
// Alertmanager gets VideoDegraded, VideoStallPredicted and VideoStalled at its API
// v2. Labels are what does not change while an alert is on: Options.Labels,
// severity, kind, stream, src, ssrc and buffer_s. Annotations are cause, eta_s,
// summary, description and the whole line (alert). A clear is the alert's end. For
// the alert to be told at once, its route needs a group_wait of 0s; the default is
// 30 s.
//
// A webhook gets a POST with a JSON array of alerts, or one a line, each as
// /api/v1/alerts has it, in their order:
//
//	[{"ts":"2026-01-01T00:00:00.1Z","stream":"10.20.0.7:5004","src":"10.31.0.10:40000","ssrc":29425646,
//	  "kind":"stall-predicted","buffer_s":2,"eta_s":1.8,"confidence":0.86,"cause":"node","evidence":{}}]
//
// A warning that stands is told again once a minute, or when its cause changes.
// It may get one twice, if its answer was lost. Options.Labels are in headers, as
// Debugsidecar-Pod.
package push
