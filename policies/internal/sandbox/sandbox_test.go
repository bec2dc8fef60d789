package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

func anyRef(ast.Ref) error { return nil }

func compile(t *testing.T, text string) (*ast.Compiler, error) {
	t.Helper()
	module, err := Parse("a.rego", text)
	if err != nil {
		return nil, err
	}
	return Compile(map[string]*ast.Module{"a.rego": module}, anyRef)
}

func program(t *testing.T, body string) *Program {
	t.Helper()
	compiler, err := compile(t, "package a\n"+body)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Prepare(t.Context(), compiler, "x = data.a.x")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// generous are limits that nothing here reaches but what tries to.
var generous = Limits{Time: time.Minute, Memory: math.MaxInt64, Results: 1000}

func TestAnythingButFunctionsOfTheInputIsRefusedByName(t *testing.T) {
	for call, name := range map[string]string{
		`http.send({"url": "http://a", "method": "get"})`: "http.send",
		`net.lookup_ip_addr("a")`:                         "net.lookup_ip_addr",
		`net.cidr_expand("10.0.0.0/8")`:                   "net.cidr_expand",
		`opa.runtime()`:                                   "opa.runtime",
		`rand.intn("a", 2)`:                               "rand.intn",
		`uuid.rfc4122("a")`:                               "uuid.rfc4122",
		`time.now_ns()`:                                   "time.now_ns",
		`trace("a")`:                                      "trace",
		`print("a")`:                                      "print",
		`numbers.range(1, 1000000000)`:                    "numbers.range",
		`bits.lsh(1, 100000000000)`:                       "bits.lsh",
		`concat("", ["a", "a"])`:                          "concat",
		`sprintf("%s%s", ["a", "a"])`:                     "sprintf",
		`replace("a", "a", "aa")`:                         "replace",
		`array.concat([1], [1])`:                          "array.concat",
		`format_int(100, 10)`:                             "format_int",
		`100 * 100 == 1`:                                  "a multiplication",
		`glob.match("*", [], "a")`:                        "glob.match",
		`walk({}, [[], 1])`:                               "walk",
		`crypto.md5("a")`:                                 "crypto.md5",
		`rego.parse_module("a", "package a")`:             "rego.parse_module",
		`$"{input.a}{input.a}" == ""`:                     "a template string",
		`count([1 | http.send({})]) == 0`:                 "http.send",
	} {
		_, err := compile(t, "package a\n\nx contains 1 if "+call)
		if want := "a.rego:3: " + name + " is not allowed"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", call, err, want)
		}
	}
	if _, err := compile(t, "package a\nx contains 1 if count(input.a) == 1 with count as http.send"); err == nil {
		t.Error("a built-in came in by with")
	}
}

func TestErrorsNameFileAndLine(t *testing.T) {
	for text, want := range map[string]string{
		"package a\n\nx contains 1 if {":                 "a.rego:3: ",
		"package a\nx contains y if true":                "a.rego:2: var y is unsafe",
		"package a\nimport data.b\nx := 1":               "a.rego:2: import data.b unused", // strict mode
		"package a\nx if y\ny if x":                      "is recursive",
		"package a\nf(n) := f(n)":                        "is recursive",
		"package a\nx contains 1 if nonsense(1)":         "a.rego:2: undefined function nonsense",
		"":                                               "a.rego:0: empty module",
		"package a\n\nx := " + strings.Repeat("[", 1000): "a.rego:3: more than 100 brackets",
		"package a\nx := \"" + strings.Repeat("a", MaxFileBytes) + "\"":         "bytes are more than",
		"package a\nx := count(1)":                                              "a.rego:2: count: invalid argument(s)",
		"package a\nx contains 1 if regex.match(\"(\", \"a\")\ny := to_number(": "a.rego:3: ",
	} {
		if _, err := compile(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}

// A parser that calls itself must not run out of stack, which would end the
// process. Compiling may take a moment; it is an administrator's file.
func TestDeepTextsAreCompiledOrRefused(t *testing.T) {
	for name, expression := range map[string]string{
		"sum":     "1" + strings.Repeat("+1", 2000),
		"union":   "{1}" + strings.Repeat("|{1}", 2000),
		"minus":   strings.Repeat("-", 20000) + "1",
		"not":     "1\ny if " + strings.Repeat("not ", 10000) + "true",
		"ref":     "input" + strings.Repeat(".a", 20000),
		"call":    strings.Repeat("abs(", 10000) + "1" + strings.Repeat(")", 10000),
		"objects": strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compile(t, "package a\nx := "+expression)
			t.Logf("%.200v", err)
		})
	}
}

// runaways never end, or need more memory than there is.
var runaways = map[string]string{
	"a comprehension": `
		n := {v | some a in input.ten; some b in input.ten; v := [a, b]}
		x contains 1 if count([[a, b, c, d, e, f] | some a in n; some b in n; some c in n; some d in n; some e in n; some f in n]) == 0`,
	"an array that doubles": `
		a := [1 | some p in input.ten; some q in input.ten ]
		b := [1 | some p in a; some q in a]
		c := [1 | some p in b; some q in b]
		x contains 1 if count([1 | some p in c; some q in c]) == 0`,
	"a giant result": `
		n := {v | some a in input.ten; some b in input.ten; v := [a, b]}
		x contains [a, b, c, d, e, f] if { some a in n; some b in n; some c in n; some d in n; some e in n; some f in n }`,
	"nothing but steps": `
		n := {v | some a in input.ten; some b in input.ten; v := [a, b]}
		x contains 1 if { some a in n; some b in n; some c in n; some d in n; some e in n; some f in n; count([a, b, c, d, e, f]) == 99 }`,
	"expensive expressions": `
		n := {v | some a in input.ten; some b in input.ten; v := [a, b]}
		x contains 1 if { some a in n; some b in n; some c in n; some d in n; some e in n; regex.match("(a?){1000}(a){500}b$", input.long) }`,
	"functions in functions": `
		n := {v | some a in input.ten; some b in input.ten; v := [a, b]}
		f(v) := {w | some i in n; w := [v, i]}
		g(v) := {w | some i in f(v); some j in f(i); w := [i, j]}
		h(v) := {w | some i in g(v); some j in g(i); w := [i, j]}
		x contains 1 if { some a in h(1); some b in h(a); count(b) == 99 }`,
}

func input(t *testing.T) ast.Value {
	t.Helper()
	return ast.MustParseTerm(`{"ten": {0,1,2,3,4,5,6,7,8,9}, "long": "` + strings.Repeat("a", 1024) + `"}`).Value
}

func TestARunawayIsCancelledWhenItsTimeIsOver(t *testing.T) {
	for name, body := range runaways {
		t.Run(name, func(t *testing.T) {
			limits := generous
			limits.Time = 30 * time.Millisecond
			start := time.Now()
			_, err := program(t, body).Eval(t.Context(), input(t), limits)
			if u, ok := errors.AsType[*UndecidedError](err); !ok || u.Reason != Time {
				t.Fatalf("got %v, want that it took too long", err)
			}
			t.Logf("ended after %s", time.Since(start))
		})
	}
}

func TestARunawayIsCancelledWhenTheHeapGrows(t *testing.T) {
	for _, name := range []string{"a comprehension", "an array that doubles"} {
		t.Run(name, func(t *testing.T) {
			defer debug.SetGCPercent(debug.SetGCPercent(20)) // what is dead doesn't count for long
			limits := generous
			limits.Memory = 16 << 20
			before, most := heapBytes(), uint64(0)
			done := make(chan struct{})
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					select {
					case <-done:
						return
					case <-time.After(time.Millisecond):
						most = max(most, heapBytes())
					}
				}
			}()
			_, err := program(t, runaways[name]).Eval(t.Context(), input(t), limits)
			close(done)
			<-stopped
			if u, ok := errors.AsType[*UndecidedError](err); !ok || u.Reason != Memory {
				t.Fatalf("got %v, want that it took too much memory", err)
			}
			t.Logf("the heap grew from %d to %d KiB", before>>10, most>>10)
		})
	}
}

func TestTooManyResultsAreNoAnswer(t *testing.T) {
	p := program(t, `x contains a + b + b + b + b + b + b + b + b + b + b if { some a in input.ten; some b in input.ten }`)
	limits := generous
	limits.Results = 99
	_, err := p.Eval(t.Context(), input(t), limits)
	if u, ok := errors.AsType[*UndecidedError](err); !ok || u.Reason != Size {
		t.Errorf("got %v, want that there are too many", err)
	}
	if sets, err := p.Eval(t.Context(), input(t), generous); err != nil || sets["x"].Len() != 100 {
		t.Errorf("got %v, %v, want 100 values", sets, err)
	}
}

func TestAnErrorOfABuiltInIsNoAnswerAndHasItsPlace(t *testing.T) {
	_, err := program(t, `x contains 1 if to_number(input.long) == 1`).Eval(t.Context(), input(t), generous)
	if u, ok := errors.AsType[*UndecidedError](err); !ok || u.Reason != Failed || !strings.Contains(u.Detail, "a.rego:2: ") {
		t.Errorf("got %v, want an error with its place", err)
	}
}

func TestWhoAsksCanStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := program(t, runaways["nothing but steps"]).Eval(ctx, input(t), generous); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestManyRunawaysTakeNoMoreThanTheirTime(t *testing.T) {
	p := program(t, runaways["nothing but steps"])
	limits := generous
	limits.Time = 50 * time.Millisecond
	errs := make(chan error)
	for range 4 * cap(slots()) {
		go func() { _, err := p.Eval(t.Context(), input(t), limits); errs <- err }()
	}
	for range 4 * cap(slots()) {
		if u, ok := errors.AsType[*UndecidedError](<-errs); !ok || u.Reason != Time {
			t.Errorf("got %v, want that it took too long", u)
		}
	}
}

// Numbers as a pod might have them as texts. A step with one must not take long.
func TestNumbersStaySmall(t *testing.T) {
	for _, number := range []string{"1e300", "1e999999999", "1e-999999999", "-1e999999999", strings.Repeat("9", 1024)} {
		for _, use := range []string{
			"n", "n + n", "n + 1", "n - n", "n / 3", "1 / n", "n % 3", "abs(n)", "floor(n)", "ceil(n)", "round(n)", "sum([n, n])", "max([n, 1])",
			"count(sort([n, 1]))", "array.slice([1], 0, n)", `count(substring("abc", 0, n))`,
		} {
			p := program(t, fmt.Sprintf("n := to_number(input.n)\nx contains 1 if %s < 7", use))
			limits := generous
			limits.Time = 20 * time.Second
			start := time.Now()
			_, err := p.Eval(t.Context(), ast.MustParseTerm(fmt.Sprintf(`{"n": %q}`, number)).Value, limits)
			if u, ok := errors.AsType[*UndecidedError](err); ok && u.Reason != Failed || time.Since(start) > limits.Time/2 {
				t.Errorf("%s with %.20s: %.200v after %s", use, number, err, time.Since(start))
			}
		}
	}
}

// Values that share their parts are compared part by part: a single step that
// nothing cancels.
func TestAStepThatDoesNotEndIsLeftAlone(t *testing.T) {
	// Two to the power of this many steps, all on the stack at once: with 20 and
	// the race detector it reaches the 1 GB at which Go ends the process.
	const depth = 18
	deep := func(name, first string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%s0 := [%s]\n", name, first)
		for i := range depth {
			fmt.Fprintf(&b, "%[1]s%[3]d := array.reverse([%[1]s%[2]d, %[1]s%[2]d])\n", name, i, i+1)
		}
		return b.String()
	}
	p := program(t, deep("a", "input.long")+deep("b", "input.long")+fmt.Sprintf("x contains 1 if a%[1]d == b%[1]d", depth))
	limits := generous
	limits.Time = 20 * time.Millisecond
	start := time.Now()
	_, err := p.Eval(t.Context(), input(t), limits)
	u, ok := errors.AsType[*UndecidedError](err)
	if !ok || u.Reason != Time {
		t.Fatalf("got %v, want that it took too long", err)
	}
	t.Logf("answered after %s", time.Since(start))
	for deadline := time.Now().Add(time.Minute); p.stuck.Load() && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := p.Eval(t.Context(), input(t), limits); p.stuck.Load() && !strings.Contains(fmt.Sprint(err), "an earlier evaluation has not ended yet") {
			t.Fatalf("another one began: %v", err)
		}
	}
	t.Logf("ended after %s", time.Since(start))
	if p.stuck.Load() {
		t.Error("it never ended")
	}
}
