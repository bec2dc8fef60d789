package server

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/admit"
	"github.com/debugsidecar/debugsidecar/webhook/config"
)

// registerConfiguration makes metrics of which configuration is in force.
func registerConfiguration(r prometheus.Registerer, store *config.Store) {
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	one := func(yes bool) float64 {
		if yes {
			return 1
		}
		return 0
	}
	gauge("debugsidecar_configuration_broken",
		"1 while the newest configuration is broken and the last good one is in force.",
		func() float64 { return one(store.Problem() != "") })
	gauge("debugsidecar_policy_own_rules_broken",
		"1 while the newest of the cluster's own rules are broken and the last good ones, or none, are in force.",
		func() float64 { return one(store.RulesBroken()) })
	gauge("debugsidecar_policy_own_rules",
		"How many of the cluster's own rules are in force.",
		func() float64 { return float64(len(store.Current().Rules.Rules())) })
}

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
