package policies

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// Evaluator judges pods. It is safe for concurrent use.
type Evaluator struct {
	book       *rulebook
	baseline   rego.PreparedEvalQuery
	restricted rego.PreparedEvalQuery
	data       storage.Transaction // on an empty store: all that rules read is input
	parameters atomic.Pointer[Parameters]
	own        atomic.Pointer[OwnRules] // nil if there are none
}

// New compiles the rules. Their parameters are the defaults until
// SetParameters is called.
func New(ctx context.Context) (*Evaluator, error) {
	book, err := readRules()
	if err != nil {
		return nil, err
	}
	compiler := ast.NewCompiler().WithStrict(true)
	if compiler.Compile(book.modules); compiler.Failed() {
		return nil, fmt.Errorf("compiling the rules: %w", compiler.Errors)
	}
	store := inmem.New()
	e := &Evaluator{book: book}
	if e.data, err = store.NewTransaction(ctx); err != nil {
		return nil, fmt.Errorf("opening the rules' store: %w", err)
	}
	for _, q := range []struct {
		prepared *rego.PreparedEvalQuery
		text     string
	}{
		{&e.baseline, "baseline = data.policies.baseline"},
		// What baseline refuses is wanted too: its level decides what a violation
		// leads to in a namespace that enforces baseline and warns of restricted.
		{&e.restricted, "baseline = data.policies.baseline; restricted = data.policies.restricted"},
	} {
		*q.prepared, err = rego.New(
			rego.Query(q.text),
			rego.Compiler(compiler),
			rego.Store(store),
			rego.Transaction(e.data),
			rego.StrictBuiltinErrors(true),
			rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil }),
		).PrepareForEval(ctx)
		if err != nil {
			return nil, fmt.Errorf("preparing the rules: %w", err)
		}
	}
	parameters, err := defaults()
	if err != nil {
		return nil, err
	}
	e.parameters.Store(parameters)
	return e, nil
}

// SetParameters replaces the parameters for the evaluations that begin from now
// on; nil means the defaults.
func (e *Evaluator) SetParameters(p *Parameters) {
	if p == nil {
		p, _ = defaults() // New has seen that they parse
	}
	e.parameters.Store(p)
}

// Trims says whether a namespace's pods lose the capabilities that they may not
// add, rather than being denied.
func (e *Evaluator) Trims(namespace string) bool {
	return e.parameters.Load().Trims(namespace)
}

// Evaluate judges a pod. An error means that it could not be judged; it wraps
// the context's error where that ended too early.
//
// With Old set the pod is being updated: nothing is found if the pod is being
// deleted or if nothing changed that the rules read, and what Old had already is
// never denied. A new image counts as a change of all that its container has.
func (e *Evaluator) Evaluate(ctx context.Context, r Request) (Result, error) {
	level := r.Modes.strictest()
	if level == Off {
		return Result{}, nil
	}
	in := e.parameters.Load().of(r.Namespace)
	levels := in.selinux.with(r.NamespaceAnnotations)
	env := facts.Environment{Identify: r.identify, OfImage: in.allowedByImage, Within: levels.within(), GrantedType: r.grantedType}
	pod := facts.Of(r.Pod, env)
	var old *facts.Facts
	if r.Old != nil {
		if r.Pod.Metadata.DeletionTimestamp != nil || r.Old.Metadata.DeletionTimestamp != nil {
			return Result{}, nil
		}
		if old = facts.Of(r.Old, env); pod.Unchanged(old) {
			return Result{}, nil
		}
	}
	verdict := verdict{book: e.book, request: &r, settings: in, selinux: levels}
	result, err := e.shipped(ctx, verdict, level, pod, old)
	if own := e.own.Load(); own != nil && err == nil {
		err = own.judge(ctx, verdict, level, pod, old, &result)
	}
	return result, err
}

// shipped judges by the rules of this package.
func (e *Evaluator) shipped(ctx context.Context, v verdict, level Level, pod, old *facts.Facts) (Result, error) {
	found, err := e.judge(ctx, level, pod, v.settings)
	if err != nil || len(found) == 0 {
		return Result{}, err
	}
	v.refused = found
	if old != nil {
		before, err := e.judge(ctx, level, old, v.settings)
		if err != nil {
			return Result{}, err
		}
		v.known = v.denials(old, before)
	}
	return v.result(pod), nil
}

// refusal is a value that the rules refuse, wherever it stands.
type refusal struct {
	kind  facts.Kind
	value facts.Value
}

// judge returns what the rules refuse of a pod, and at which levels.
func (e *Evaluator) judge(ctx context.Context, level Level, pod *facts.Facts, in *settings) (map[refusal]levels, error) {
	query := &e.restricted
	if level == Baseline {
		query = &e.baseline
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("evaluating the rules: %w", err)
	}
	cancel := topdown.NewCancel()
	stop := context.AfterFunc(ctx, cancel.Cancel)
	defer stop()
	answer, err := query.Eval(ctx,
		rego.EvalParsedInput(pod.Document(in.document)),
		rego.EvalTransaction(e.data),
		rego.EvalMetrics(metrics.NoOp()),
		rego.EvalExternalCancel(cancel))
	if err != nil {
		return nil, fmt.Errorf("evaluating the rules: %w", errors.Join(ctx.Err(), err))
	}
	if len(answer) != 1 {
		return nil, fmt.Errorf("evaluating the rules: want one answer, have %d", len(answer))
	}
	var found map[refusal]levels
	for _, level := range []Level{Baseline, Restricted} {
		term, ok := answer[0].Bindings[string(level)].(*ast.Term)
		if !ok {
			continue
		}
		refused, ok := term.Value.(ast.Set)
		if !ok {
			return nil, fmt.Errorf("evaluating the rules: %s is no set", level)
		}
		for _, pair := range refused.Slice() {
			key, at, err := e.book.refusal(level, pair)
			if err != nil {
				return nil, fmt.Errorf("evaluating the rules: %w", err)
			}
			if found == nil {
				found = make(map[refusal]levels, refused.Len())
			}
			found[key] |= at
		}
	}
	return found, nil
}

// refusal reads one [kind, value] that the rules of a level gave back.
func (b *rulebook) refusal(level Level, pair *ast.Term) (refusal, levels, error) {
	array, ok := pair.Value.(*ast.Array)
	if !ok || array.Len() != 2 {
		return refusal{}, 0, fmt.Errorf("%s is no [kind, value]", pair)
	}
	name, _ := array.Elem(0).Value.(ast.String)
	kind, ok := facts.KindOf(string(name))
	if !ok {
		return refusal{}, 0, fmt.Errorf("%s names no kind of fact", pair)
	}
	value, err := facts.ValueOf(array.Elem(1))
	if err != nil {
		return refusal{}, 0, err
	}
	clause, ok := b.clauses[clauseKey{level, kind}]
	if !ok {
		return refusal{}, 0, fmt.Errorf("no clause of %s refuses %s", level, kind)
	}
	at := levels(0).with(level)
	if level == Baseline && !b.replaced[clause.rule] {
		at = at.with(Restricted)
	}
	return refusal{kind, value}, at, nil
}
