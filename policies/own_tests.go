package policies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/debugsidecar/debugsidecar/policies/internal/sandbox"
)

// RuleTests are what became of the tests of rules.
type RuleTests struct {
	Tests    []RuleTest     `json:"tests"`
	Coverage []RuleCoverage `json:"coverage"` // of each file that is no test
}

type (
	// RuleTest is the result of one test.
	RuleTest = sandbox.Test
	// RuleCoverage says which lines of a file the tests reached.
	RuleCoverage = sandbox.Coverage
)

// What tests may take, all together.
const (
	testsTime   = 30 * time.Second
	testsMemory = 64 << 20
)

// Test runs the tests of the rules. They see the default parameters as
// data.parameters. An error means that they could not be run.
func (o *OwnRules) Test(ctx context.Context) (RuleTests, error) { return o.test(ctx, true) }

// Check runs the tests, and fails with a line for each that does not pass.
func (o *OwnRules) Check(ctx context.Context) error {
	results, err := o.test(ctx, false)
	if err != nil {
		return err
	}
	return results.Err()
}

// Err names each test that failed, with file and line.
func (t RuleTests) Err() error {
	var errs []error
	for _, test := range t.Tests {
		if test.Outcome == sandbox.Failing || test.Outcome == sandbox.Broken {
			errs = append(errs, fmt.Errorf("%s:%d: the test %s %s: %s", test.File, test.Line, test.Name, verb(test), test.Detail))
		}
	}
	return errors.Join(errs...)
}

func verb(t RuleTest) string {
	if t.Outcome == sandbox.Broken {
		return "made an error"
	}
	return "fails"
}

func (o *OwnRules) test(ctx context.Context, covered bool) (RuleTests, error) {
	if len(o.tests) == 0 && !covered {
		return RuleTests{}, nil
	}
	var parameters map[string]any
	if err := yaml.Unmarshal(defaultsText, &parameters); err != nil {
		return RuleTests{}, fmt.Errorf("reading the default parameters: %w", err)
	}
	tests, coverage, err := sandbox.Run(ctx, o.modules, o.tests, map[string]any{"parameters": parameters},
		sandbox.Limits{Time: testsTime, Memory: testsMemory}, covered)
	if tests == nil {
		tests = []RuleTest{}
	}
	return RuleTests{tests, coverage}, err
}
