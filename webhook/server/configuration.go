package server

import (
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
)

// forgetGone removes the metrics of rules that were there before and are not now.
func forgetGone(m *admit.Metrics, before *[]policies.Rule, now []policies.Rule) {
	for _, old := range *before {
		if !slices.ContainsFunc(now, func(r policies.Rule) bool { return r.ID == old.ID }) {
			m.Forget(old.ID)
		}
	}
	*before = now
}

// configuration says which configuration is in force.
func (h *health) configuration() (line string, broken bool) {
	problem := ""
	if h.problem != nil {
		problem = h.problem()
	}
	if problem == "" {
		return "[+]configuration ok", false
	}
	return "[-]configuration failed, which does not make the webhook unready: the newest is not in force: " +
		strings.ReplaceAll(problem, "\n", "; "), true
}
