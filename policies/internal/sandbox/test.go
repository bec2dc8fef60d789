package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Outcome is what became of a test.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failing Outcome = "failed"
	Broken  Outcome = "error"
	Skipped Outcome = "skipped" // its name begins with todo_
)

// Test is the result of one test.
type Test struct {
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Name     string        `json:"name"`
	Outcome  Outcome       `json:"outcome"`
	Detail   string        `json:"detail,omitempty"` // why, for people
	Duration time.Duration `json:"-"`
}

// Coverage says which lines of a file the tests reached.
type Coverage struct {
	File       string `json:"file"`
	Covered    int    `json:"covered"`    // lines
	NotCovered []int  `json:"notCovered"` // their numbers
}

// Percent is the share of lines that were reached; 100 where there are none.
func (c Coverage) Percent() float64 {
	if len(c.NotCovered) == 0 {
		return 100
	}
	return 100 * float64(c.Covered) / float64(c.Covered+len(c.NotCovered))
}

// Run runs the tests in modules, which see data, one after the other. Limits are
// for all of them together; with covered, the lines that they reach in each of
// rules are told.
func Run(ctx context.Context, rules, tests map[string]*ast.Module, data map[string]any, limits Limits, covered bool) ([]Test, []Coverage, error) {
	var refused []error
	for _, name := range names(tests) {
		refused = append(refused, calls(tests[name])...)
	}
	if err := errors.Join(refused...); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := watch(ctx, limits)
	defer w.stop()
	go func() {
		select {
		case <-w.ended:
			cancel(w.why(ctx))
		case <-ctx.Done():
		}
	}()
	store := inmem.NewFromObject(data)
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the tests' store: %w", err)
	}
	modules := maps.Clone(rules)
	maps.Copy(modules, tests)
	runner := tester.NewRunner().SetModules(modules).SetStore(store).SetTimeout(limits.Time).SetParallel(1).
		CapturePrintOutput(false).RaiseBuiltinErrors(true).SetCompiler(newCompiler())
	var reached *cover.Cover
	if covered {
		reached = cover.New()
		runner = runner.SetCoverageQueryTracer(reached)
	}
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		return nil, nil, explain(err)
	}
	var all []Test
	for r := range results {
		all = append(all, testOf(r))
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, nil, fmt.Errorf("running the tests: %w", cause)
	}
	slices.SortFunc(all, func(a, b Test) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	if !covered {
		return all, nil, nil
	}
	return all, coverage(reached.Report(rules), rules), nil
}

func testOf(r *tester.Result) Test {
	t := Test{Name: r.Name, Outcome: Passed, Duration: r.Duration}
	if r.Location != nil {
		t.File, t.Line = r.Location.File, r.Location.Row
	}
	switch {
	case r.Error != nil:
		t.Outcome, t.Detail = Broken, message(r.Error)
		if errors.Is(r.Error, context.DeadlineExceeded) || topdown.IsCancel(r.Error) {
			t.Detail = "it took too long"
		}
	case r.Skip:
		t.Outcome = Skipped
	case r.Fail:
		t.Outcome = Failing
		if r.FailedAt != nil && r.FailedAt.Location != nil {
			t.Detail = fmt.Sprintf("%s:%d does not hold: %s", r.FailedAt.Location.File, r.FailedAt.Location.Row, r.FailedAt.Location.Text)
		}
	}
	return t
}

func coverage(report cover.Report, rules map[string]*ast.Module) []Coverage {
	var all []Coverage
	for _, file := range names(rules) {
		c := Coverage{File: file, NotCovered: []int{}}
		if f := report.Files[file]; f != nil {
			missing := map[int]bool{}
			for _, r := range f.NotCovered {
				for row := r.Start.Row; row <= r.End.Row; row++ {
					missing[row] = true
				}
			}
			reached := map[int]bool{}
			for _, r := range f.Covered {
				for row := r.Start.Row; row <= r.End.Row; row++ {
					reached[row] = reached[row] || !missing[row]
				}
			}
			for row, yes := range reached {
				if yes && !missing[row] {
					c.Covered++
				}
			}
			c.NotCovered = slices.AppendSeq(c.NotCovered, maps.Keys(missing))
			slices.Sort(c.NotCovered)
		}
		all = append(all, c)
	}
	return all
}
