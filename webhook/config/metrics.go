package config

import "github.com/prometheus/client_golang/prometheus"

// Register makes metrics of which configuration is in force.
func (s *Store) Register(r prometheus.Registerer) {
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
		func() float64 { return one(s.Problem() != "") })
	gauge("debugsidecar_policy_own_rules_broken",
		"1 while the newest of the cluster's own rules are broken and the last good ones, or none, are in force.",
		func() float64 { return one(s.RulesBroken()) })
	gauge("debugsidecar_policy_own_rules",
		"How many of the cluster's own rules are in force.",
		func() float64 { return float64(len(s.Current().Rules.Rules())) })
}
