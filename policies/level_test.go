package policies_test

import (
	"strings"
	"testing"

	psapi "k8s.io/pod-security-admission/api"

	"github.com/debugsidecar/debugsidecar/policies"
)

func TestModesFollowTheNamespacesLabels(t *testing.T) {
	const off, baseline, restricted = policies.Off, policies.Baseline, policies.Restricted
	type labels = map[string]string
	for _, c := range []struct {
		name           string
		labels         labels
		defaultEnforce policies.Level
		want           policies.Modes
		problem        string // in the only problem; empty for none
	}{
		{"no labels", nil, off, policies.Modes{off, off, off}, ""},
		{"no labels, with a default", nil, baseline, policies.Modes{baseline, baseline, off}, ""},
		{"enforce", labels{policies.EnforceLabel: "restricted"}, off, policies.Modes{restricted, restricted, off}, ""},
		{"enforce off wins over the default", labels{policies.EnforceLabel: "off"}, restricted, policies.Modes{off, off, off}, ""},
		{"warn alone", labels{policies.WarnLabel: "restricted"}, off, policies.Modes{off, restricted, off}, ""},
		{"audit alone", labels{policies.AuditLabel: "baseline"}, off, policies.Modes{off, off, baseline}, ""},
		{"warn may be lower than enforce", labels{policies.EnforceLabel: "restricted", policies.WarnLabel: "off"}, off, policies.Modes{restricted, off, off}, ""},
		{"all three", labels{policies.EnforceLabel: "baseline", policies.WarnLabel: "restricted", policies.AuditLabel: "restricted"}, off, policies.Modes{baseline, restricted, restricted}, ""},
		{"unknown enforce is restricted", labels{policies.EnforceLabel: "strict"}, off, policies.Modes{restricted, off, off},
			`namespace label policy.debugsidecar.io/enforce has the unknown value "strict", so restricted is used; allowed are restricted, baseline and off`},
		{"empty enforce is unknown", labels{policies.EnforceLabel: ""}, baseline, policies.Modes{restricted, off, off}, `unknown value ""`},
		{"privileged is Pod Security's word", labels{policies.EnforceLabel: "privileged"}, off, policies.Modes{restricted, off, off}, `"privileged"`},
		{"unknown warn is off", labels{policies.EnforceLabel: "baseline", policies.WarnLabel: "x"}, off, policies.Modes{baseline, off, off}, "so off is used"},
		{"unknown audit is off", labels{policies.AuditLabel: "x"}, off, policies.Modes{off, off, off}, "policy.debugsidecar.io/audit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			modes, problems := policies.ModesOf(c.labels, c.defaultEnforce)
			if modes != c.want {
				t.Errorf("modes are %+v, want %+v", modes, c.want)
			}
			switch {
			case c.problem == "" && len(problems) != 0:
				t.Errorf("unexpected problems: %q", problems)
			case c.problem != "" && (len(problems) != 1 || !strings.Contains(problems[0], c.problem)):
				t.Errorf("problems are %q, want one with %q", problems, c.problem)
			}
		})
	}
}

// Every combination of label values must mean what Pod Security's labels mean.
func TestModesAreReadAsPodSecurityReadsItsLabels(t *testing.T) {
	privileged := psapi.LevelVersion{Level: psapi.LevelPrivileged, Version: psapi.LatestVersion()}
	ours := func(l psapi.Level) policies.Level {
		if l == psapi.LevelPrivileged {
			return policies.Off
		}
		return policies.Level(l)
	}
	values := []string{"absent", "off", "baseline", "restricted", "nonsense"}
	for _, enforce := range values {
		for _, warn := range values {
			for _, audit := range values {
				labels, theirs := map[string]string{}, map[string]string{}
				for _, l := range []struct{ ours, theirs, value string }{
					{policies.EnforceLabel, psapi.EnforceLevelLabel, enforce},
					{policies.WarnLabel, psapi.WarnLevelLabel, warn},
					{policies.AuditLabel, psapi.AuditLevelLabel, audit},
				} {
					if l.value != "absent" {
						labels[l.ours] = l.value
						theirs[l.theirs] = strings.ReplaceAll(l.value, "off", "privileged")
					}
				}
				want, errs := psapi.PolicyToEvaluate(theirs, psapi.Policy{Enforce: privileged, Warn: privileged, Audit: privileged})
				got, problems := policies.ModesOf(labels, policies.Off)
				if got != (policies.Modes{ours(want.Enforce.Level), ours(want.Warn.Level), ours(want.Audit.Level)}) || len(problems) != len(errs) {
					t.Errorf("%v: modes are %+v, Pod Security's %+v; problems %q, Pod Security's %v", labels, got, want, problems, errs)
				}
			}
		}
	}
}
