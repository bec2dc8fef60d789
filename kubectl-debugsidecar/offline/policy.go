package offline

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/debugsidecar/debugsidecar/policies"
)

// newPolicy returns the command for who writes rules.
func newPolicy(streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Work on rules of your own",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newPolicyTest(streams))
	return c
}

type policyTester struct {
	streams genericiooptions.IOStreams
	output  string
	minimum float64
}

func newPolicyTest(streams genericiooptions.IOStreams) *cobra.Command {
	o := &policyTester{streams: streams}
	c := &cobra.Command{
		Use:   "test DIR",
		Short: "Compile rules of your own as the webhook does, and run their tests",
		Long: `Compile the rules in a directory (*.rego) as the webhook does, run their tests
(*_test.rego), and tell which lines the tests reach. The status is 1 if the
webhook would refuse the rules.`,
		Example: `  kubectl debugsidecar policy test policy/
  kubectl debugsidecar policy test policy/ --min-coverage 100 -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("output", o.output, "json"); err != nil {
				return err
			}
			if err := o.run(c, args[0]); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	c.Flags().Float64Var(&o.minimum, "min-coverage", 0, "fail if the tests reach less than so many percent of the lines")
	addOutput(c, &o.output, "json (default: for people)", "json")
	return c
}

// tested is what -o json prints.
type tested struct {
	Passed bool     `json:"passed"`
	Errors []string `json:"errors"` // why, each with file and line
	policies.RuleTests
	CoveragePercent float64 `json:"coveragePercent"`
}

func (o *policyTester) run(c *cobra.Command, dir string) error {
	report, err := testRules(c, dir)
	percent := total(report.Coverage)
	if err == nil && percent < o.minimum {
		err = fmt.Errorf("the tests reach %.1f %% of the lines, less than %g %%", percent, o.minimum)
	}
	if o.output != "json" {
		o.inWords(report, percent)
		return err
	}
	out := tested{Passed: err == nil, Errors: []string{}, RuleTests: report, CoveragePercent: percent}
	if err != nil {
		out.Errors = strings.Split(err.Error(), "\n")
		err = errDenied // it was told
	}
	return errors.Join((&options{streams: o.streams}).line(out), err)
}

func testRules(c *cobra.Command, dir string) (policies.RuleTests, error) {
	none := policies.RuleTests{Tests: []policies.RuleTest{}, Coverage: []policies.RuleCoverage{}}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return none, fmt.Errorf("%s is no directory", dir)
	}
	files, err := policies.ReadRuleFiles(dir)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: there are no files that end in .rego", dir)
	}
	if err != nil {
		return none, err
	}
	rules, err := policies.CompileOwnRules(c.Context(), files)
	if err != nil {
		return none, err
	}
	report, err := rules.Test(c.Context())
	if err != nil {
		return none, err
	}
	return report, report.Err()
}

func total(all []policies.RuleCoverage) float64 {
	var sum policies.RuleCoverage
	for _, c := range all {
		sum.Covered += c.Covered
		sum.NotCovered = append(sum.NotCovered, c.NotCovered...)
	}
	return sum.Percent()
}

func (o *policyTester) inWords(report policies.RuleTests, percent float64) {
	if len(report.Coverage) == 0 {
		return // nothing was run
	}
	outcomes := map[string]int{}
	for _, t := range report.Tests {
		outcomes[string(t.Outcome)]++
	}
	fmt.Fprintf(o.streams.Out, "%d tests: %d passed, %d failed, %d skipped\n", len(report.Tests),
		outcomes["passed"], outcomes["failed"]+outcomes["error"], outcomes["skipped"])
	w := tabwriter.NewWriter(o.streams.Out, 0, 0, 2, ' ', 0)
	for _, c := range report.Coverage {
		fmt.Fprintf(w, "%s\t%.1f %%\t%s\n", c.File, c.Percent(), lines(c.NotCovered))
	}
	fmt.Fprintf(w, "all\t%.1f %%\n", percent)
	w.Flush() //nolint:errcheck // as with Fprintf
}

// lines names the lines that were not reached, a range as 3-5.
func lines(numbers []int) string {
	if len(numbers) == 0 {
		return ""
	}
	var parts []string
	for rest := slices.Clone(numbers); len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n] == rest[0]+n {
			n++
		}
		part := strconv.Itoa(rest[0])
		if n > 1 {
			part += "-" + strconv.Itoa(rest[n-1])
		}
		parts, rest = append(parts, part), rest[n:]
	}
	return "not reached: lines " + strings.Join(parts, ", ")
}
