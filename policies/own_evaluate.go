package policies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/policies/internal/sandbox"
)

// What rules of one's own may take for a request. The shipped ones take some
// 50 us; so does a rule like them.
const (
	ownTime        = 250 * time.Millisecond // a rule, for a pod
	ownTimeForAll  = time.Second            // all rules, for a request
	ownMemory      = 32 << 20               // bytes, of all requests together
	maxOwnFacts    = 4096                   // of a pod
	maxOwnText     = 1024                   // bytes of a fact's value
	maxOwnRefusals = 1000                   // of a rule
)

// Undecided says that a rule of one's own came to no answer about a request.
type Undecided struct {
	Rule   string
	Reason string // time, memory, size, error, or unusable: a word for metrics
}

const unusable sandbox.Reason = "unusable"

// SetOwnRules replaces the rules that an administrator wrote for the
// evaluations that begin from now on; nil means none.
func (e *Evaluator) SetOwnRules(o *OwnRules) { e.own.Store(o) }

// judge adds what the rules refuse to result. It fails only where the context
// ends: a rule that comes to no answer is a violation of that rule.
func (o *OwnRules) judge(ctx context.Context, v verdict, level Level, pod, old *facts.Facts, result *Result) error {
	if o.problem != nil {
		all := &ownRule{Rule: Rule{ID: ownRulesID, Level: Baseline}}
		v.undecided(all, &sandbox.UndecidedError{Reason: unusable, Detail: "the cluster's own rules are broken; the webhook's log says where"}, result)
	}
	start := time.Now()
	input := pod.Document(v.settings.document)
	var before ast.Value
	if old != nil {
		before = old.Document(v.settings.document)
	}
	for _, r := range o.rules {
		left := min(o.time, o.timeForAll-time.Since(start))
		found, err := r.judge(ctx, v, level, [2]*facts.Facts{pod, old}, [2]ast.Value{input, before}, left)
		if u, ok := errors.AsType[*sandbox.UndecidedError](err); ok {
			v.undecided(r, u, result)
			continue
		}
		if err != nil {
			return fmt.Errorf("evaluating the rule %s: %w", r.ID, err)
		}
		result.add(found)
	}
	slices.SortStableFunc(result.Violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Container, b.Container), cmp.Compare(a.Field, b.Field))
	})
	return nil
}

// judge returns what one rule finds in the first of two pods, where the
// second is the old one or nil.
func (r *ownRule) judge(ctx context.Context, v verdict, level Level, pods [2]*facts.Facts, inputs [2]ast.Value, limit time.Duration) (Result, error) {
	v.book, v.known = r.book, nil
	var err error
	if v.refused, err = r.refused(ctx, level, pods[0], inputs[0], limit); err != nil || len(v.refused) == 0 {
		return Result{}, err
	}
	if err := inThe(pods[0], v.refused); err != nil {
		return Result{}, err
	}
	if pods[1] != nil {
		before, err := r.refused(ctx, level, pods[1], inputs[1], limit)
		if err != nil {
			return Result{}, err
		}
		v.known = v.denials(pods[1], before)
	}
	return v.result(pods[0]), nil
}

// refused returns what the rule refuses of a pod, and at which levels.
func (r *ownRule) refused(ctx context.Context, level Level, pod *facts.Facts, input ast.Value, limit time.Duration) (map[refusal]levels, error) {
	program := r.restricted
	if level == Baseline {
		program = r.baseline
	}
	if program == nil {
		return nil, nil // it has no clause of the level
	}
	switch count, longest := pod.Size(); {
	case count > maxOwnFacts:
		return nil, &sandbox.UndecidedError{Reason: sandbox.Size, Detail: fmt.Sprintf("the pod has %d facts, more than %d", count, maxOwnFacts)}
	case longest > maxOwnText:
		return nil, &sandbox.UndecidedError{Reason: sandbox.Size, Detail: fmt.Sprintf("the pod has a value of %d bytes, more than %d", longest, maxOwnText)}
	case limit <= 0:
		return nil, &sandbox.UndecidedError{Reason: sandbox.Time, Detail: fmt.Sprintf("all rules together took longer than %s", ownTimeForAll)}
	}
	sets, err := program.Eval(ctx, input, sandbox.Limits{Time: limit, Memory: ownMemory, Results: maxOwnRefusals})
	if err != nil {
		return nil, err
	}
	var found map[refusal]levels
	for _, level := range []Level{Baseline, Restricted} {
		set, ok := sets[string(level)]
		if !ok {
			continue
		}
		for _, pair := range set.Slice() {
			key, at, err := r.book.refusal(level, pair)
			if err != nil {
				return nil, &sandbox.UndecidedError{Reason: sandbox.Failed, Detail: err.Error()}
			}
			if found == nil {
				found = make(map[refusal]levels, set.Len())
			}
			found[key] |= at
		}
	}
	return found, nil
}

// inThe checks that each refused value stands in the pod: nobody would hear of
// another one, and the pod would pass.
func inThe(pod *facts.Facts, refused map[refusal]levels) error {
	there := map[refusal]bool{}
	pod.All(func(fact facts.Fact) bool {
		there[refusal{fact.Kind, fact.Value}] = true
		return true
	})
	for r := range refused {
		if !there[r] {
			return &sandbox.UndecidedError{
				Reason: sandbox.Failed,
				Detail: fmt.Sprintf("it refuses the %s %s, which the pod does not have", r.kind, listed(r.value.Names())),
			}
		}
	}
	return nil
}

// undecided adds what a rule that came to no answer leads to: what its refusal
// would, for not to know must not open the door.
func (v *verdict) undecided(r *ownRule, why *sandbox.UndecidedError, result *Result) {
	modes := v.request.Modes
	for _, mode := range []struct {
		level  Level
		action Action
	}{{modes.Enforce, Deny}, {modes.Warn, Warn}, {modes.Audit, Audit}} {
		if mode.level.rank() == offRank || mode.level.rank() < r.Level.rank() {
			continue
		}
		action, allowed := v.settings.cap(r.ID, mode.action)
		if !allowed {
			return
		}
		fix := "ask the cluster's administrator"
		if r.File != "" {
			fix += " about " + filepath.Base(r.File)
		}
		violation := Violation{
			Rule: r.ID, Field: v.request.specPath(), Level: r.Level, Action: action,
			Message: fmt.Sprintf("pod: rule %s (%s) could not decide: %s", r.ID, r.Level, why.Detail),
			Fix:     fix,
		}
		result.Undecided = append(result.Undecided, Undecided{r.ID, string(why.Reason)})
		if exemption := v.settings.exempt.of(v.request); exemption != nil {
			exemption.Violations = []Violation{violation}
			result.add(Result{Exemption: exemption})
		} else {
			result.add(Result{Violations: []Violation{violation}})
		}
		return
	}
}
