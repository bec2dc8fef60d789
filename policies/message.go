package policies

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// Texts stay readable, and small, whatever a pod holds.
const (
	maxValues      = 20
	maxValueLength = 100
)

// violation puts a finding into words.
func (f *finding) violation(v *verdict) Violation {
	values := listed(f.values)
	replacer := strings.NewReplacer(append([]string{
		"{field}", f.field,
		"{values}", values,
		"{why}", v.request.whyNotOurs(f.container),
		"{levels}", v.selinux.allowed(),
	}, v.settings.words...)...)
	subject := "pod"
	if f.container != "" {
		subject = "container " + strconv.Quote(f.container)
	}
	fix := replacer.Replace(f.clause.fix)
	if podField := f.fact.PodField(v.request.specPath()); podField != "" && len(f.values) == 0 {
		fix += ", or " + podField + " once for all containers"
	}
	return Violation{
		Rule:      f.clause.rule,
		Container: f.container,
		Field:     f.field,
		Message: fmt.Sprintf("%s: %s %s; rule %s (%s) allows %s",
			subject, f.field, f.has(replacer, values), f.clause.rule, f.clause.level, replacer.Replace(f.clause.allowed)),
		Fix:    fix,
		Level:  f.level,
		Action: f.action,
		Trim:   f.trim,
	}
}

// has says what the field has.
func (f *finding) has(replacer *strings.Replacer, values string) string {
	switch {
	case f.clause.has != "":
		return replacer.Replace(f.clause.has)
	case len(f.values) == 0:
		return "is not set"
	case f.fact.Kind == facts.CapabilitiesDrop:
		return "has " + values
	}
	return "is " + values
}

// listed joins values for people.
func listed(values []string) string {
	var b strings.Builder
	for i, value := range values {
		if i == maxValues {
			fmt.Fprintf(&b, " and %d more", len(values)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		if len(value) > maxValueLength {
			value = strings.ToValidUTF8(value[:maxValueLength], "") + "…"
		}
		b.WriteString(value)
	}
	return b.String()
}
