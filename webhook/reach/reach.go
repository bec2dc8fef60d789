// Package reach tells whether API servers reach the webhook.
//
// Nobody but an API server can tell: a firewall between it and the nodes, a
// proxy, a missing endpoint or a CA that it does not trust are on its way, and
// on no other. So the probe asks the API server for something that makes it call
// the webhook: a dry run of a ConfigMap's creation, which the chart's entry
// self-probe.debugsidecar.io sends to [Path]. The answer is a warning with the
// probe's nonce and the name of the pod that answered; a failure is in the API
// server's own words, which [Result] puts into a sentence with the way out.
//
// A probe goes through one API server and to one of the webhook's pods: of
// several of either, the others may differ.
package reach

import "strings"

const (
	// Path is where the entry's reviews go.
	Path = "/self-probe"
	// Label marks the probe's ConfigMaps; its value is the nonce.
	Label = "debugsidecar.io/self-probe"
	// Entry is the name of the entry in the ValidatingWebhookConfiguration.
	Entry = "self-probe.debugsidecar.io"
)

// Outcome is a probe's result in a word.
type Outcome string

const (
	Reached     Outcome = "reached"
	Unreachable Outcome = "unreachable"
	// NotAsked says that the API server did not try: there is no entry that sends
	// it to the webhook.
	NotAsked Outcome = "not-asked"
	// Unknown says that the API server itself did not answer, or refused to.
	Unknown Outcome = "unknown"
)

// Result is what one probe found.
type Result struct {
	Outcome Outcome `json:"outcome"`
	// Pod is who answered, if somebody did.
	Pod string `json:"pod,omitempty"`
	// Reason is a sentence; Fix is the way out, empty if all is well.
	Reason string `json:"reason"`
	Fix    string `json:"fix,omitempty"`
}

func (r Result) String() string {
	if r.Fix == "" {
		return r.Reason
	}
	return r.Reason + "; " + r.Fix
}

const warningPrefix = "debugsidecar: self-probe "

// warning is what the handler answers; parse is its inverse.
func warning(nonce, pod string) string { return warningPrefix + nonce + " answered by " + pod }

func parse(warnings []string, nonce string) (pod string, found bool) {
	for _, w := range warnings {
		if pod, found = strings.CutPrefix(w, warning(nonce, "")); found {
			return pod, true
		}
	}
	return "", false
}
