package policies

import (
	"cmp"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// levels is the set of levels at which something is refused.
type levels uint8

func (l levels) with(level Level) levels { return l | 1<<level.rank() }
func (l levels) at(level Level) bool     { return level.rank() != offRank && l&(1<<level.rank()) != 0 }

// lowest returns the lowest level of the set.
func (l levels) lowest() Level {
	if l.at(Baseline) {
		return Baseline
	}
	return Restricted
}

// verdict turns what the rules refuse into violations at places.
type verdict struct {
	book     *rulebook
	request  *Request
	settings *settings
	selinux  SELinux
	refused  map[refusal]levels
	known    map[facts.Identity]bool // denials that the old pod had already
}

// finding is a violation in the making: what a rule refuses in one field.
type finding struct {
	clause    *clause
	level     Level // the lowest that refuses it
	action    Action
	fact      facts.Fact
	container string
	field     string
	values    []string
	trim      []string
	exempt    bool
}

// result returns what is refused, one violation per rule, container, field and
// action. An exemption takes out all but what is about our reserved names.
func (v *verdict) result(pod *facts.Facts) Result {
	type place struct {
		rule, container, field string
		action                 Action
	}
	exemption := v.settings.exempt.of(v.request)
	var findings []*finding
	byPlace := map[place]*finding{}
	specPath := v.request.specPath()
	pod.All(func(fact facts.Fact) bool {
		at, refused := v.refused[refusal{fact.Kind, fact.Value}]
		if !refused {
			return true
		}
		found, ok := v.finding(fact, at)
		if !ok {
			return true
		}
		if found.action == Deny && (v.known[fact.Identity()] || v.drifted(fact)) {
			found.action = Warn
		}
		found.container, found.field = fact.Container(), fact.Field(specPath)
		reserved := strings.HasPrefix(found.container, facts.ReservedPrefix)
		found.exempt = exemption != nil && !reserved
		if found.action == Deny && !reserved && v.settings.lists[trimPath].on && isAddedCapability(fact.Kind) && found.clause.rule == capabilitiesRule {
			found.trim = []string{fact.Value.Text()}
		}
		where := place{found.clause.rule, found.container, found.field, found.action}
		if same := byPlace[where]; same != nil {
			same.values = append(same.values, found.values...)
			same.trim = append(same.trim, found.trim...)
			if found.level == Baseline {
				same.level = Baseline
			}
			return true
		}
		byPlace[where] = &found
		findings = append(findings, &found)
		return true
	})
	slices.SortStableFunc(findings, func(a, b *finding) int {
		return cmp.Or(cmp.Compare(a.clause.rule, b.clause.rule), cmp.Compare(a.container, b.container), cmp.Compare(a.field, b.field))
	})
	result := Result{Violations: make([]Violation, 0, len(findings))}
	for _, f := range findings {
		if f.exempt {
			exemption.Violations = append(exemption.Violations, f.violation(v))
			result.Exemption = exemption
		} else {
			result.Violations = append(result.Violations, f.violation(v))
		}
	}
	return result
}

// capabilitiesRule is the rule that trimming stands in for.
const capabilitiesRule = "capabilities"

func isAddedCapability(k facts.Kind) bool {
	return k == facts.CapabilitiesAdd || k == facts.CapabilitiesOfImage
}

// drifted says whether the fact is the name of one of our containers that was
// changed, or that another revision rendered. The name alone then denies
// nothing: the container is judged by the ordinary rules, and has no grant.
func (v *verdict) drifted(fact facts.Fact) bool {
	return fact.Kind == facts.ReservedNames && v.request.Reserved[fact.Container()].Drifted
}

// denials returns the identities of the facts that would be denied in a pod.
func (v *verdict) denials(pod *facts.Facts, refused map[refusal]levels) map[facts.Identity]bool {
	known := map[facts.Identity]bool{}
	pod.All(func(fact facts.Fact) bool {
		if at, is := refused[refusal{fact.Kind, fact.Value}]; is {
			if found, ok := v.finding(fact, at); ok && found.action == Deny {
				known[fact.Identity()] = true
			}
		}
		return true
	})
	return known
}

// finding decides what a refused fact leads to: the strongest action among the
// modes whose level refuses it, and no stronger than the rule's own mode. It
// returns false if it leads to nothing.
func (v *verdict) finding(fact facts.Fact, at levels) (finding, bool) {
	modes := v.request.Modes
	for _, mode := range []struct {
		level  Level
		action Action
	}{{modes.Enforce, Deny}, {modes.Warn, Warn}, {modes.Audit, Audit}} {
		if !at.at(mode.level) {
			continue
		}
		clause := v.book.clauseAt(mode.level, fact.Kind)
		action, allowed := v.settings.cap(clause.rule, mode.action)
		if !allowed {
			return finding{}, false
		}
		return finding{
			clause: clause, level: at.lowest(), action: action,
			fact: fact, values: fact.Value.Names(),
		}, true
	}
	return finding{}, false
}

// clauseAt returns the clause that refuses a kind of fact at a level: its own,
// or baseline's where the level restricted has none.
func (b *rulebook) clauseAt(level Level, kind facts.Kind) *clause {
	if level.rank() == restrictedRank {
		if c, ok := b.clauses[clauseKey{Restricted, kind}]; ok {
			return c
		}
	}
	return b.clauses[clauseKey{Baseline, kind}]
}
