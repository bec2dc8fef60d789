package policies

import (
	"fmt"
	"strconv"
)

// Level says how much a namespace demands of its pods.
type Level string

const (
	Off        Level = "off"
	Baseline   Level = "baseline"
	Restricted Level = "restricted"
)

// Labels of a namespace that set its level in each mode.
const (
	EnforceLabel = "policy.debugsidecar.io/enforce"
	WarnLabel    = "policy.debugsidecar.io/warn"
	AuditLabel   = "policy.debugsidecar.io/audit"
)

// Modes is the level of a namespace in each mode. The zero value is off.
type Modes struct{ Enforce, Warn, Audit Level }

// ModesOf reads the modes from a namespace's labels, as Pod Security Admission
// does with its own:
//
//	label    absent                     unknown value
//	enforce  defaultEnforce             restricted
//	warn     the level that's enforced  off
//	audit    off                        off
//
// Where the enforce label's value is unknown, an absent warn label means off.
// Each unknown value is described in problems, for people.
func ModesOf(namespaceLabels map[string]string, defaultEnforce Level) (modes Modes, problems []string) {
	modes = Modes{Enforce: defaultEnforce, Warn: Off, Audit: Off}
	read := func(label string, level *Level, otherwise Level) (known bool) {
		value, set := namespaceLabels[label]
		if !set {
			return true
		}
		if *level = Level(value); level.known() {
			return true
		}
		*level = otherwise
		problems = append(problems, fmt.Sprintf("namespace label %s has the unknown value %s, so %s is used; allowed are %s, %s and %s",
			label, strconv.Quote(value), otherwise, Restricted, Baseline, Off))
		return false
	}
	enforceKnown := read(EnforceLabel, &modes.Enforce, Restricted)
	read(WarnLabel, &modes.Warn, Off)
	read(AuditLabel, &modes.Audit, Off)
	if _, set := namespaceLabels[WarnLabel]; !set && enforceKnown {
		modes.Warn = modes.Enforce
	}
	return modes, problems
}

// strictest returns the strictest level of the three.
func (m Modes) strictest() Level {
	return max(m.Enforce.rank(), m.Warn.rank(), m.Audit.rank()).level()
}

func (l Level) known() bool { return l == Off || l == Baseline || l == Restricted }

// rank orders levels by strictness.
type rank uint8

const (
	offRank rank = iota
	baselineRank
	restrictedRank
)

// rank returns the level's rank. A level that isn't known counts as the
// strictest, so that a mistake in a caller never opens a door.
func (l Level) rank() rank {
	switch l {
	case Off, "":
		return offRank
	case Baseline:
		return baselineRank
	}
	return restrictedRank
}

func (r rank) level() Level { return [...]Level{Off, Baseline, Restricted}[r] }
