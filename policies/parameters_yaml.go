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

	"go.yaml.in/yaml/v3"
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
	own := settings{lists: maps.Clone(s.lists), modes: maps.Clone(s.modes)}
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
		case key == "rules":
			if !isNull(value) {
				r.modes(path, value, into)
			}
		case slices.Contains(sections(), key):
			if !isNull(value) {
				r.section(path, key, value, into)
			}
		default:
			known := append(sections(), "rules")
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
				r.list(path, p, value, into)
				return
			}
			known = append(known, p.name)
		}
		r.wrong(keyNode, path, "unknown field; known here are %s", strings.Join(known, ", "))
	})
}

func (r *parametersReader) list(path string, p parameter, node *yaml.Node, into *settings) {
	if node.Kind != yaml.SequenceNode {
		r.wrong(node, path, "want a list")
		return
	}
	var members []string
	for i, member := range node.Content {
		if member.Kind == yaml.AliasNode {
			member = member.Alias
		}
		if member.Kind != yaml.ScalarNode || isNull(member) {
			r.wrong(member, path+"["+strconv.Itoa(i)+"]", "want a single value")
			return
		}
		members = append(members, member.Value)
	}
	value, err := p.setting(members)
	if bad := (*memberError)(nil); errors.As(err, &bad) {
		r.wrong(node.Content[bad.index], path+"["+strconv.Itoa(bad.index)+"]", "%q: %s", members[bad.index], bad)
		return
	}
	into.lists[p.path()] = value
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
