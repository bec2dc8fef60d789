package policies_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies"
)

// TestRegoTestsReachEveryLineOfEveryRule prints the table with -v.
func TestRegoTestsReachEveryLineOfEveryRule(t *testing.T) {
	rules, tests := ruleModules(t)
	var parameters map[string]any
	if err := yaml.Unmarshal([]byte(policies.DefaultParameters()), &parameters); err != nil {
		t.Fatal(err)
	}
	store := inmem.NewFromObject(map[string]any{"parameters": parameters})
	txn, err := store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A rule has only its own tests to thank for what they reach.
	lines, reached := 0, 0
	for _, file := range slices.Sorted(maps.Keys(rules)) {
		modules, own := maps.Clone(rules), strings.TrimSuffix(file, ".rego")+"_test.rego"
		if tests[own] == nil {
			t.Errorf("%s has no tests", file)
			continue
		}
		modules[own] = tests[own]
		c := cover.New()
		results, err := tester.NewRunner().SetModules(modules).SetStore(store).SetCoverageQueryTracer(c).RunTests(t.Context(), txn)
		if err != nil {
			t.Fatal(err)
		}
		for r := range results {
			if !r.Pass() {
				t.Errorf("%s: %v", file, r)
			}
		}
		report := c.Report(rules).Files[file]
		t.Logf("%-45s %3d of %3d lines", file, report.CoveredLines, report.CoveredLines+report.NotCoveredLines)
		lines, reached = lines+report.CoveredLines+report.NotCoveredLines, reached+report.CoveredLines
		for _, missing := range report.NotCovered {
			t.Errorf("%s:%d-%d: no test in %s reaches these lines", file, missing.Start.Row, missing.End.Row, own)
		}
		if report.CoveredLines == 0 {
			t.Errorf("%s: no line is reached", file)
		}
	}
	t.Logf("%-45s %3d of %3d lines", "all", reached, lines)
}
