package policies

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Parameters are what an administrator sets for the rules: for the cluster, and
// by namespace what differs there. They are immutable.
type Parameters struct {
	cluster    settings
	namespaces map[string]*settings
}

// of returns the settings of a namespace.
func (p *Parameters) of(namespace string) *settings {
	if s, ok := p.namespaces[namespace]; ok {
		return s
	}
	return &p.cluster
}

// Trims says whether a namespace's pods lose the capabilities that they may not
// add, rather than being denied.
func (p *Parameters) Trims(namespace string) bool { return p.of(namespace).lists[trimPath].on }

// settings are the parameters that hold in one namespace.
type settings struct {
	exempt  exemptions
	lists   map[string]setting // by section and name, such as "hostPorts.allowed"
	modes   map[string]Action  // of rules that are not at enforce; empty Action for off
	selinux rangeSource

	document *ast.Term // what the rules read as input.parameters
	words    []string  // pairs of placeholder and text for messages
}

// setting is one parameter's value, for the rules and for people. Go alone reads
// those without a term.
type setting struct {
	term *ast.Term
	text string

	allowances []allowance // of images
	on         bool        // of what is on or off
}

//go:embed parameters.yaml
var defaultsText []byte

// defaults are the parameters of the Pod Security Standards.
var defaults = sync.OnceValues(func() (*Parameters, error) {
	p, err := parseParameters(defaultsText, settings{})
	if err != nil {
		return nil, fmt.Errorf("parsing the default parameters: %w", err)
	}
	// A rule that reads a parameter which isn't there would refuse nothing.
	for _, parameter := range parameterTable {
		if _, set := p.cluster.lists[parameter.path()]; !set {
			return nil, fmt.Errorf("the default parameters lack %s", parameter.path())
		}
	}
	return p, nil
})

// DefaultParameters returns the documented default parameters, as YAML.
func DefaultParameters() string { return string(defaultsText) }

// ParseParameters reads parameters as YAML, strictly. What isn't set there has
// its default. An error names every line that is wrong, with its field.
//
// Rules of one's own have a mode as the shipped ones do; ownRules are their ids.
func ParseParameters(data []byte, ownRules ...string) (*Parameters, error) {
	base, err := defaults()
	if err != nil {
		return nil, err
	}
	return parseParameters(data, base.cluster, ownRules...)
}

// cap returns the strongest action that the rule may take where action is
// wanted, and false if it may take none.
func (s *settings) cap(rule string, action Action) (Action, bool) {
	mode, set := s.modes[rule]
	switch {
	case !set:
		return action, true
	case mode == "":
		return "", false
	case strength(mode) < strength(action):
		return mode, true
	}
	return action, true
}

func strength(a Action) int {
	switch a {
	case Deny:
		return 2
	case Warn:
		return 1
	}
	return 0
}

// seal makes what evaluation needs, once, so that an override costs nothing then.
func (s *settings) seal() {
	sections := map[string][][2]*ast.Term{}
	for _, p := range parameterTable {
		value, ok := s.lists[p.path()]
		if !ok || value.term == nil {
			continue // not there only while the defaults are read; that is checked there
		}
		sections[p.section] = append(sections[p.section], [2]*ast.Term{ast.StringTerm(p.name), value.term})
		s.words = append(s.words, "{"+p.path()+"}", value.text)
	}
	var items [][2]*ast.Term
	for section, fields := range sections {
		items = append(items, [2]*ast.Term{ast.StringTerm(section), ast.ObjectTerm(fields...)})
	}
	s.document = ast.ObjectTerm(items...)
	s.selinux.read(s.lists)
}

// join lists names for people.
func join(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
