package sandbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Program is a compiled query. It is safe for concurrent use.
type Program struct {
	query rego.PreparedEvalQuery
	data  storage.Transaction // on an empty store
	stuck atomic.Bool         // an evaluation was cancelled and has not ended
}

// Prepare makes a program of a query, such as "x = data.custom.a.baseline".
func Prepare(ctx context.Context, compiler *ast.Compiler, query string) (*Program, error) {
	store := inmem.New()
	data, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the rules' store: %w", err)
	}
	prepared, err := rego.New(
		rego.Query(query),
		rego.Compiler(compiler),
		rego.Store(store),
		rego.Transaction(data),
		rego.StrictBuiltinErrors(true),
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil }),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("preparing the rules: %w", err)
	}
	return &Program{query: prepared, data: data}, nil
}

// slots bound how many evaluations run at the same time, so that slow ones
// leave the processor to others.
var slots = sync.OnceValue(func() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) })

// Eval evaluates the program and returns the sets that its query binds. An
// error is an [UndecidedError], or the context's where that ended.
func (p *Program) Eval(ctx context.Context, input ast.Value, limits Limits) (map[string]ast.Set, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.stuck.Load() {
		return nil, undecided(Time, "an earlier evaluation has not ended yet")
	}
	w := watch(ctx, limits)
	defer w.stop()
	select {
	case slots() <- struct{}{}:
	case <-w.ended:
		return nil, w.why(ctx)
	}
	type result struct {
		sets map[string]ast.Set
		err  error
	}
	answer := make(chan result, 1)
	go func() {
		defer func() { <-slots() }()
		sets, err := p.eval(ctx, input, limits, w)
		p.stuck.Store(false)
		answer <- result{sets, err}
	}()
	select {
	case r := <-answer:
		return r.sets, r.err
	case <-w.ended:
	}
	// It ends at its next step; a single step that goes on is left alone, and
	// until it ends no other evaluation of the program begins.
	grace := time.NewTimer(max(limits.Time, minGrace))
	defer grace.Stop()
	select {
	case r := <-answer:
		return r.sets, r.err
	case <-grace.C:
		p.stuck.Store(true)
		select {
		case r := <-answer: // it ended just before
			p.stuck.Store(false)
			return r.sets, r.err
		default:
			return nil, w.why(ctx)
		}
	}
}

// minGrace is how long an evaluation may take to notice that it was cancelled,
// at least.
const minGrace = 50 * time.Millisecond

func (p *Program) eval(ctx context.Context, input ast.Value, limits Limits, w *watcher) (map[string]ast.Set, error) {
	answer, err := p.query.Eval(context.WithoutCancel(ctx),
		rego.EvalParsedInput(input),
		rego.EvalTransaction(p.data),
		rego.EvalMetrics(metrics.NoOp()),
		rego.EvalExternalCancel(w.cancel))
	switch {
	case err != nil && w.cancel.Cancelled():
		return nil, w.why(ctx)
	case err != nil:
		return nil, undecided(Failed, "%s", message(err))
	case len(answer) != 1:
		return nil, undecided(Failed, "it gave %d answers, want one", len(answer))
	}
	sets := make(map[string]ast.Set, len(answer[0].Bindings))
	for name, value := range answer[0].Bindings {
		term, _ := value.(*ast.Term)
		if term == nil {
			continue
		}
		set, ok := term.Value.(ast.Set)
		switch {
		case !ok:
			return nil, undecided(Failed, "%s is no set", name)
		case set.Len() > limits.Results:
			return nil, undecided(Size, "it gave %d values, more than %d", set.Len(), limits.Results)
		}
		sets[name] = set
	}
	return sets, nil
}

// message is what OPA says of an error, with the place and without its code.
func message(err error) string {
	if e, ok := errors.AsType[*topdown.Error](err); ok && e.Location != nil {
		return fmt.Sprintf("%s:%d: %s", e.Location.File, e.Location.Row, e.Message)
	}
	return err.Error()
}

// watcher cancels an evaluation that takes too much.
type watcher struct {
	cancel topdown.Cancel
	limits Limits
	ended  chan struct{} // closed when cancelled
	unhook func() bool

	mu     sync.Mutex
	timer  *time.Timer
	done   bool
	reason Reason // of the cancellation; empty if the context ended
	since  time.Time
	heap   uint64 // at the first look
}

// firstLook is when the heap is looked at first: few evaluations take so long.
// From then on it is looked at in steps of nextLook.
const (
	firstLook = time.Millisecond
	nextLook  = time.Millisecond
)

func watch(ctx context.Context, limits Limits) *watcher {
	w := &watcher{cancel: topdown.NewCancel(), limits: limits, ended: make(chan struct{}), since: time.Now()}
	w.unhook = context.AfterFunc(ctx, func() { w.end("") })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(min(firstLook, limits.Time), w.look)
	return w
}

func (w *watcher) look() {
	heap := heapBytes()
	w.mu.Lock()
	if w.heap == 0 {
		w.heap = heap
	}
	taken := time.Since(w.since)
	over := Reason("")
	switch {
	case w.done:
	case taken >= w.limits.Time:
		over = Time
	case heap > w.heap+w.limits.Memory:
		over = Memory
	default:
		w.timer.Reset(min(nextLook, w.limits.Time-taken))
	}
	w.mu.Unlock()
	if over != "" {
		w.end(over)
	}
}

// end cancels the evaluation; the first reason counts.
func (w *watcher) end(r Reason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return
	}
	w.done, w.reason = true, r
	w.cancel.Cancel()
	close(w.ended)
}

func (w *watcher) stop() {
	w.unhook()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	w.timer.Stop()
}

// why returns the error of a cancelled evaluation.
func (w *watcher) why(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.reason {
	case Time:
		return undecided(Time, "it took longer than %s", w.limits.Time)
	case Memory:
		return undecided(Memory, "it took more than %d MiB of memory", w.limits.Memory>>20)
	}
	return context.Cause(ctx)
}
