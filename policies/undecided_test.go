package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// hostile rules come to no answer; each has its reason.
var hostile = map[string]struct{ text, reason, detail string }{
	"never ends": {rule("x", "baseline", `contains ["hostPorts", p] if {
	some p in input.hostPorts
	n := {[a, b] | some a in input.hostPorts; some b in input.hostPorts}
	some c in n
	some d in n
	some e in n
	some f in n
	some g in n
	count([c, d, e, f, g]) == 9
}`), "time", "it took longer than 250ms"},
	"an error": {rule("x", "baseline", `contains ["hostPorts", p] if {
	some p in input.hostPorts
	to_number("a") == p
}`), "error", "0.rego:8: to_number"},
	"another value than the pod's": {rule("x", "baseline", `contains ["hostPorts", 1] if input.hostPorts`),
		"error", "it refuses the hostPorts 1, which the pod does not have"},
	"no value": {rule("x", "baseline", `contains ["hostPorts", [p]] if some p in input.hostPorts`), "error", "is no value of a fact"},
	"too many values": {rule("x", "baseline", `contains ["hostPorts", n] if { some a in input.hostPorts; some b in input.hostPorts; n := b + (a / (1 / 64)) }`),
		"size", "it gave 2500 values, more than 1000"},
}

const manyPorts = 50

func portsPod(t testing.TB) *facts.Pod {
	var ports []string
	for p := range manyPorts {
		ports = append(ports, fmt.Sprintf("{hostPort: %d}", p+2))
	}
	return ownPod(t, "{containers: [{name: c, ports: ["+strings.Join(ports, ", ")+"]}]}")
}

func TestNotToKnowIsToRefuse(t *testing.T) {
	for name, c := range hostile {
		t.Run(name, func(t *testing.T) {
			e := ownEvaluator(t, c.text, noNFS)
			if c.reason == "time" {
				e.SetOwnRules(compileOwn(t, c.text, noNFS))
			}
			for modes, action := range map[Modes]Action{{Enforce: Baseline}: Deny, {Warn: Restricted}: Warn, {Audit: Baseline}: Audit} {
				result, err := e.Evaluate(t.Context(), Request{Modes: modes, Pod: portsPod(t)})
				if err != nil {
					t.Fatal(err)
				}
				var found *Violation
				for i, v := range result.Violations {
					if v.Rule == "custom-x" {
						found = &result.Violations[i]
					}
				}
				if found == nil || found.Action != action || found.Fix != "ask the cluster's administrator about 0.rego" ||
					!strings.HasPrefix(found.Message, "pod: rule custom-x (baseline) could not decide: ") || !strings.Contains(found.Message, c.detail) {
					t.Errorf("got %+v, want %s because %s", found, action, c.detail)
				}
				if len(result.Undecided) == 0 || !slices.Contains(result.Undecided, Undecided{"custom-x", c.reason}) {
					t.Errorf("got %+v, want %s", result.Undecided, c.reason)
				}
			}
		})
	}
}

func TestARuleThatIsOffIsNotMissed(t *testing.T) {
	e := ownEvaluator(t, hostile["an error"].text)
	p, err := ParseParameters([]byte(`{rules: {custom-x: {mode: "off"}}}`), "custom-x")
	if err != nil {
		t.Fatal(err)
	}
	e.SetParameters(p)
	result, err := e.Evaluate(t.Context(), Request{Modes: all(Baseline), Pod: portsPod(t)})
	if err != nil || len(result.Undecided) != 0 {
		t.Errorf("got %+v, %v", result.Undecided, err)
	}
}

func TestAPodThatIsTooLargeForOnesOwnRulesIsUndecided(t *testing.T) {
	long := ownPod(t, `{containers: [{name: c, livenessProbe: {tcpSocket: {host: `+strings.Repeat("a", maxOwnText+1)+`}}}]}`)
	var many strings.Builder
	for i := range maxOwnFacts {
		fmt.Fprintf(&many, "{hostPort: %d}, ", i%100+1)
	}
	for name, pod := range map[string]*facts.Pod{
		"a long value": long, "many facts": ownPod(t, "{containers: [{name: c, ports: ["+many.String()+"]}]}"),
	} {
		result, err := ownEvaluator(t, noNFS).Evaluate(t.Context(), Request{Modes: all(Baseline), Pod: pod})
		if err != nil || len(result.Undecided) != 1 || result.Undecided[0] != (Undecided{"custom-no-nfs", "size"}) || !result.Denied() {
			t.Errorf("%s: got %+v, %v", name, result.Undecided, err)
		}
	}
}

func TestOneSlowRuleCostsNoOtherItsAnswer(t *testing.T) {
	e := ownEvaluator(t, hostile["never ends"].text, rule("z", "baseline", `contains ["hostPorts", p] if some p in input.hostPorts`))
	e.own.Load().time = 3 * time.Second // the other one ends in time on any machine
	result, err := e.Evaluate(t.Context(), Request{Modes: all(Baseline), Pod: portsPod(t)})
	if n := strings.Count(fmt.Sprint(result.Violations), "rule custom-z "); err != nil || n != manyPorts || len(result.Undecided) != 1 {
		t.Errorf("%d violations and %+v, %v", n, result.Undecided, err)
	}
}

func TestRulesThatCannotBeUsedLeaveRequestsUndecided(t *testing.T) {
	e, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.SetOwnRules(UnusableOwnRules(errors.New("secret.rego:1: nonsense")))
	pod := ownPod(t, "{containers: [{name: c}]}")
	result, err := e.Evaluate(t.Context(), Request{Modes: all(Baseline), Pod: pod})
	if err != nil || !result.Denied() || result.Violations[0].Rule != "custom-rules" || result.Undecided[0].Reason != "unusable" {
		t.Errorf("got %+v, %v", result, err)
	}
	if result, err := e.Evaluate(t.Context(), Request{Modes: all(Off), Pod: pod}); err != nil || len(result.Violations) != 0 {
		t.Errorf("where nothing is judged: %+v, %v", result, err)
	}
}

func TestWhoAsksNoLongerWaitsGetsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ownEvaluator(t, noNFS).Evaluate(ctx, Request{Modes: all(Baseline), Pod: portsPod(t)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
