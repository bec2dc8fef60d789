// Package monitoring tests what the chart gives to Prometheus and Grafana: that
// rules and dashboards ask for metrics that exist, that alerts fire when they
// are to, and that a sidecar is found.
package monitoring

import (
	"fmt"
	"strings"
)

// selector is a metric with the labels that it is selected by.
type selector struct {
	metric string
	labels []string
}

// expression is what a PromQL expression names.
type expression struct {
	selectors []selector
	// labels are those of by, without, on, ignoring, group_left and group_right.
	labels []string
}

// namesOf reads an expression's names. It is no parser: promtool is, and says
// what is wrong. A selector without a metric's name is refused, for it would
// escape the check.
func namesOf(expr string) (expression, error) {
	tokens, err := tokenize(expr)
	if err != nil {
		return expression{}, fmt.Errorf("%w, in %s", err, expr)
	}
	r := reader{tokens: tokens}
	for r.err == nil && r.at < len(r.tokens) {
		r.step()
	}
	if r.err != nil {
		return expression{}, fmt.Errorf("%w, in %s", r.err, expr)
	}
	return r.found, nil
}

type reader struct {
	tokens []token
	at     int
	found  expression
	err    error
}

// peek returns the text of the token that is n after the present one.
func (r *reader) peek(n int) token {
	if r.at+n >= len(r.tokens) {
		return token{}
	}
	return r.tokens[r.at+n]
}

// Words that are followed by labels in parentheses, and words that stand alone.
var (
	grouping = words("by without on ignoring group_left group_right")
	operator = words("and or unless bool offset atan2 inf nan")
)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(list) {
		set[w] = true
	}
	return set
}

func (r *reader) step() {
	t := r.peek(0)
	if t.kind != name {
		if t.text == "{" {
			r.err = fmt.Errorf("a selector without a metric's name")
		}
		r.at++
		return
	}
	word, next := strings.ToLower(t.text), r.peek(1)
	switch {
	case grouping[word]:
		r.at++
		if next.text == "(" {
			r.group()
		}
	case operator[word]:
		r.at++
	case next.text == "(", next.kind == name && (strings.EqualFold(next.text, "by") || strings.EqualFold(next.text, "without")):
		r.at++ // a function or an aggregation
	default:
		r.at++
		s := selector{metric: t.text}
		if next.text == "{" {
			s.labels = r.matchers()
		}
		r.found.selectors = append(r.found.selectors, s)
	}
}

// group reads (a, b).
func (r *reader) group() {
	for r.at++; r.err == nil; r.at++ {
		switch t := r.peek(0); {
		case t.kind == name:
			r.found.labels = append(r.found.labels, t.text)
		case t.text == ")":
			r.at++
			return
		case t.text != ",":
			r.err = fmt.Errorf("%q among labels", t.text)
		}
	}
}

// matchers reads {a="b", c!~"d"}.
func (r *reader) matchers() (labels []string) {
	for r.at++; r.err == nil; {
		t := r.peek(0)
		switch {
		case t.text == "}":
			r.at++
			return labels
		case t.text == ",":
			r.at++
		case t.text == "__name__":
			r.err = fmt.Errorf("a metric named by a matcher")
		case t.kind == name && r.peek(1).kind == comparison && r.peek(2).kind == text:
			labels = append(labels, t.text)
			r.at += 3
		default:
			r.err = fmt.Errorf("%q among matchers", t.text)
		}
	}
	return nil
}
