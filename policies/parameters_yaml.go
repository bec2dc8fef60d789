package policies

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies/selinux"
)

// parseParameters reads parameters over base, which holds where they are silent.
func parseParameters(data []byte, base settings, ownRules ...string) (*Parameters, error) {
	book, err := readRules()
	if err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF): // no document: all defaults
	case err != nil:
		return nil, fmt.Errorf("reading parameters: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	case !errors.Is(decoder.Decode(&yaml.Node{}), io.EOF):
		return nil, errors.New("reading parameters: more than one YAML document")
	}
	r := parametersReader{rules: slices.Clone(ownRules)}
	for _, rule := range book.rules {
		r.rules = append(r.rules, rule.ID)
	}
	slices.Sort(r.rules)
	p := &Parameters{namespaces: map[string]*settings{}}
	var namespaces *yaml.Node
	p.cluster = base.override()
	if len(document.Content) == 1 && !isNull(document.Content[0]) {
		namespaces = r.settings("", document.Content[0], &p.cluster, true)
	}
	p.cluster.seal()
	if namespaces != nil {
		r.mapping("namespaces", namespaces, func(name, path string, _, value *yaml.Node) {
			own := p.cluster.override()
			if !isNull(value) {
				r.settings(path, value, &own, false)
			}
			own.seal()
			if s := &own.selinux; s.parameter.Fill && !s.parameter.Confined && !s.fromOpenShift {
				r.wrong(value, path, "%s: there is no range to fill in: set %s", fillPath, rangePath)
			}
			p.namespaces[name] = &own
		})
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
		messages := make([]string, len(r.problems))
		for i, p := range r.problems {
			messages[i] = p.String()
		}
		return nil, fmt.Errorf("reading parameters: %s", strings.Join(messages, "; "))
	}
	return p, nil
}

// override returns a copy to be changed and sealed.
func (s *settings) override() settings {
	own := settings{lists: maps.Clone(s.lists), modes: maps.Clone(s.modes), exempt: s.exempt}
	if own.lists == nil {
		own.lists = map[string]setting{}
	}
	if own.modes == nil {
		own.modes = map[string]Action{}
	}
	return own
}

// problem is something wrong in a line.
type problem struct {
	line int
	path string
	what string
}

func (p problem) String() string {
	if p.path == "" {
		return fmt.Sprintf("line %d: %s", p.line, p.what)
	}
	return fmt.Sprintf("line %d: %s: %s", p.line, p.path, p.what)
}

// parametersReader walks a document and collects what is wrong with it.
type parametersReader struct {
	rules    []string // ids
	problems []problem
}

func (r *parametersReader) wrong(n *yaml.Node, path, format string, args ...any) {
	r.problems = append(r.problems, problem{n.Line, path, fmt.Sprintf(format, args...)})
}

// settings reads what may stand for the cluster, or below a namespace's name. It
// returns the node of the key namespaces, if that may stand here and does.
func (r *parametersReader) settings(path string, node *yaml.Node, into *settings, top bool) (namespaces *yaml.Node) {
	r.mapping(path, node, func(key, path string, keyNode, value *yaml.Node) {
		switch {
		case key == "namespaces" && top:
			if !isNull(value) {
				namespaces = value
			}
		case key == "exemptions":
			if !isNull(value) {
				r.exemptions(path, value, into, top)
			}
		case key == "rules":
			if !isNull(value) {
				r.modes(path, value, into)
			}
		case slices.Contains(sections(), key):
			if !isNull(value) {
				r.section(path, key, value, into)
			}
		default:
			known := append(sections(), "rules", "exemptions")
			if top {
				known = append(known, "namespaces")
			}
			r.wrong(keyNode, path, "unknown field; known here are %s", strings.Join(known, ", "))
		}
	})
	return namespaces
}

func (r *parametersReader) section(path, section string, node *yaml.Node, into *settings) {
	r.mapping(path, node, func(key, path string, keyNode, value *yaml.Node) {
		var known []string
		for _, p := range parameterTable {
			if p.section != section {
				continue
			}
			if p.name == key {
				r.parameter(path, p, value, into)
				return
			}
			known = append(known, p.name)
		}
		r.wrong(keyNode, path, "unknown field; known here are %s", strings.Join(known, ", "))
	})
}

func (r *parametersReader) parameter(path string, p parameter, node *yaml.Node, into *settings) {
	switch p.form {
	case listsByKey:
		r.images(path, p, node, into)
	case yesOrNo:
		var on bool
		if node.Kind != yaml.ScalarNode || node.Tag != "!!bool" || node.Decode(&on) != nil {
			r.wrong(node, path, "want true or false")
			return
		}
		if on && p.path() == fillPath && !strings.HasPrefix(path, "namespaces.") {
			r.wrong(node, path, "each namespace opts in by itself: set namespaces.NAME.%s", fillPath)
			return
		}
		into.lists[p.path()] = setting{term: ast.BooleanTerm(on), on: on}
	case levelRange:
		r.levelRange(path, p, node, into)
	default:
		if value, ok := r.list(path, p, node); ok {
			into.lists[p.path()] = value
		}
	}
}

// levelRange reads a range of SELinux levels; empty is none.
func (r *parametersReader) levelRange(path string, p parameter, node *yaml.Node, into *settings) {
	if node.Kind != yaml.ScalarNode || isNull(node) {
		r.wrong(node, path, "want a range of SELinux levels such as s0:c1,c2")
		return
	}
	var value setting
	if node.Value != "" {
		levels, err := selinux.ParseRange(node.Value)
		if err != nil {
			r.wrong(node, path, "want a range of SELinux levels such as s0:c1,c2: %s", err)
			return
		}
		value.text = levels.String()
	}
	into.lists[p.path()] = value
}

// images reads lists of capabilities by image.
func (r *parametersReader) images(path string, p parameter, node *yaml.Node, into *settings) {
	var value setting
	r.mapping(path, node, func(key, path string, keyNode, node *yaml.Node) {
		members, _, ok := r.members(path, p, node)
		if !ok {
			return
		}
		names := make([]corev1.Capability, len(members))
		for i, m := range members {
			names[i] = corev1.Capability(m)
		}
		a, err := parseAllowance(key, names)
		if err != nil {
			r.wrong(keyNode, path, "%s", err)
			return
		}
		value.allowances = append(value.allowances, a)
	})
	into.lists[p.path()] = value
}

func (r *parametersReader) list(path string, p parameter, node *yaml.Node) (setting, bool) {
	_, value, ok := r.members(path, p, node)
	return value, ok
}

// members reads a list, as it stands there and as a setting.
func (r *parametersReader) members(path string, p parameter, node *yaml.Node) ([]string, setting, bool) {
	if node.Kind != yaml.SequenceNode {
		r.wrong(node, path, "want a list")
		return nil, setting{}, false
	}
	var members []string
	for i, member := range node.Content {
		if member.Kind == yaml.AliasNode {
			member = member.Alias
		}
		if member.Kind != yaml.ScalarNode || isNull(member) {
			r.wrong(member, path+"["+strconv.Itoa(i)+"]", "want a single value")
			return nil, setting{}, false
		}
		members = append(members, member.Value)
	}
	value, err := p.setting(members)
	if bad := (*memberError)(nil); errors.As(err, &bad) {
		r.wrong(node.Content[bad.index], path+"["+strconv.Itoa(bad.index)+"]", "%q: %s", members[bad.index], bad)
		return nil, setting{}, false
	}
	return members, value, true
}

// modes reads the key rules: a rule's id, and below it its mode.
func (r *parametersReader) modes(path string, node *yaml.Node, into *settings) {
	r.mapping(path, node, func(id, path string, keyNode, value *yaml.Node) {
		if !slices.Contains(r.rules, id) {
			r.wrong(keyNode, path, "unknown rule; known are %s", strings.Join(r.rules, ", "))
			return
		}
		r.mapping(path, value, func(key, path string, keyNode, value *yaml.Node) {
			if key != "mode" {
				r.wrong(keyNode, path, "unknown field; known here is mode")
				return
			}
			switch value.Value {
			case "enforce":
				delete(into.modes, id)
			case "warn":
				into.modes[id] = Warn
			case "audit":
				into.modes[id] = Audit
			case "off":
				into.modes[id] = ""
			default:
				r.wrong(value, path, "%q: want one of enforce, warn, audit, off", value.Value)
			}
		})
	})
}

// mapping calls visit for every key of a mapping, each at most once.
func (r *parametersReader) mapping(path string, node *yaml.Node, visit func(key, path string, keyNode, value *yaml.Node)) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		r.wrong(node, path, "want a mapping of names to values")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		keyNode, value := node.Content[i], node.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		key := keyNode.Value
		below := key
		if path != "" {
			below = path + "." + key
		}
		if seen[key] {
			r.wrong(keyNode, below, "set twice")
			continue
		}
		seen[key] = true
		visit(key, below, keyNode, value)
	}
}

func sections() []string {
	var all []string
	for _, p := range parameterTable {
		if !slices.Contains(all, p.section) {
			all = append(all, p.section)
		}
	}
	return all
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
