package policies

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

//go:embed rules/*.rego
var ruleFiles embed.FS

// Rule describes a rule: a file in rules/.
type Rule struct {
	ID         string
	Title      string
	Level      Level    // the lowest level at which it refuses something
	Tightens   bool     // it refuses more at the level restricted than at baseline
	Checks     []string // ids of the Pod Security checks that it covers
	Parameters []string // that change what it allows, such as "hostPorts.allowed"
	File       string   // its specification, below policies/
}

// Rules describes all rules, in the order of their ids.
func Rules() ([]Rule, error) {
	book, err := readRules()
	if err != nil {
		return nil, err
	}
	return slices.Clone(book.rules), nil
}

// rulebook is the compiled form of what stands in rules/.
type rulebook struct {
	modules map[string]*ast.Module
	rules   []Rule
	clauses map[clauseKey]*clause
	// replaced are the ids whose restricted clauses stand in for the baseline
	// ones at the level restricted.
	replaced map[string]bool
}

// clauseKey names a clause: one `contains` in a rule's file. Its head gives the
// kind of fact that it refuses.
type clauseKey struct {
	level Level
	kind  facts.Kind
}

// clause is what a clause's metadata say, for messages.
type clause struct {
	rule    string
	level   Level
	has     string // what the field has; empty for the usual words
	allowed string
	fix     string
}

// readRules parses the rules and their metadata once.
var readRules = sync.OnceValues(func() (*rulebook, error) {
	names, err := fs.Glob(ruleFiles, "rules/*.rego")
	if err != nil {
		return nil, fmt.Errorf("listing the rules: %w", err)
	}
	book := &rulebook{
		modules:  map[string]*ast.Module{},
		clauses:  map[clauseKey]*clause{},
		replaced: map[string]bool{},
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		text, err := ruleFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		module, err := ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{ProcessAnnotation: true})
		if err != nil {
			return nil, fmt.Errorf("parsing the rules: %w", err)
		}
		book.modules[name] = module
		if err := book.addModule(name, module); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(book.rules, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	return book, nil
})

func (b *rulebook) addModule(name string, module *ast.Module) error {
	rule := Rule{Level: Restricted, File: name, Parameters: parametersOf(module)}
	var hasBaseline, hasRestricted bool
	for _, r := range module.Rules {
		level := Level(r.Head.Name)
		switch level {
		case Baseline:
			hasBaseline, rule.Level = true, Baseline
		case Restricted:
			hasRestricted = true
		default:
			if err := isHelper(r); err != nil {
				return fmt.Errorf("%s:%d: %w", name, r.Location.Row, err)
			}
			continue
		}
		if err := b.addClause(level, r, &rule); err != nil {
			return fmt.Errorf("%s:%d: %w", name, r.Location.Row, err)
		}
	}
	if rule.ID == "" {
		return fmt.Errorf("%s: no rule of the level %s or %s", name, Baseline, Restricted)
	}
	rule.Tightens = hasBaseline && hasRestricted
	b.replaced[rule.ID] = rule.Tightens
	b.rules = append(b.rules, rule)
	return nil
}

// isHelper refuses what was meant to be a clause: nobody would ask for it.
func isHelper(r *ast.Rule) error {
	if ref := r.Head.Ref(); len(ref) > 1 && (ref[0].Equal(ast.VarTerm(string(Baseline))) || ref[0].Equal(ast.VarTerm(string(Restricted)))) {
		return fmt.Errorf("%s: the head must be [kind, value] with a constant kind", r.Head)
	}
	for _, a := range r.Annotations {
		if a.Custom["level"] != nil {
			return fmt.Errorf("%s has the metadata of a rule, whose name has to be %s or %s", r.Head.Ref(), Baseline, Restricted)
		}
	}
	return nil
}

func (b *rulebook) addClause(level Level, r *ast.Rule, rule *Rule) error {
	kind, err := kindOf(r)
	if err != nil {
		return err
	}
	if len(r.Annotations) != 1 {
		return fmt.Errorf("want one block of metadata, have %d", len(r.Annotations))
	}
	metadata := r.Annotations[0]
	text := func(key string) string {
		value, _ := metadata.Custom[key].(string)
		return value
	}
	if id := text("id"); rule.ID == "" {
		rule.ID, rule.Title = id, metadata.Title
	} else if id != rule.ID {
		return fmt.Errorf("the id %q differs from the file's id %q", id, rule.ID)
	}
	if text("level") != string(level) {
		return fmt.Errorf("the metadata's level %q differs from the rule's level %q", text("level"), level)
	}
	if metadata.Title == "" {
		return errors.New("the metadata have no title")
	}
	for _, key := range []string{"id", "allowed", "fix"} {
		if text(key) == "" {
			return fmt.Errorf("the metadata have no %s", key)
		}
	}
	checks, _ := metadata.Custom["checks"].([]any)
	for _, check := range checks {
		if id := fmt.Sprint(check); !slices.Contains(rule.Checks, id) {
			rule.Checks = append(rule.Checks, id)
		}
	}
	key := clauseKey{level, kind}
	if other, taken := b.clauses[key]; taken {
		return fmt.Errorf("the rule %s judges %s at %s as well", other.rule, kind, level)
	}
	b.clauses[key] = &clause{rule: rule.ID, level: level, has: text("has"), allowed: text("allowed"), fix: text("fix")}
	return nil
}

// parametersOf returns the parameters that a module reads, in order.
func parametersOf(module *ast.Module) []string {
	var paths []string
	ast.WalkRefs(module, func(ref ast.Ref) bool {
		if path, is := strings.CutPrefix(ref.String(), "input.parameters."); is {
			paths = append(paths, path)
		}
		return false
	})
	slices.Sort(paths)
	return slices.Compact(paths)
}

// kindOf returns the kind of fact that a clause refuses: the first part of its
// head, as in `baseline contains ["hostPorts", port]`.
func kindOf(r *ast.Rule) (facts.Kind, error) {
	if r.Head.Key != nil {
		if pair, ok := r.Head.Key.Value.(*ast.Array); ok && pair.Len() == 2 {
			if name, ok := pair.Elem(0).Value.(ast.String); ok {
				if kind, ok := facts.KindOf(string(name)); ok {
					return kind, nil
				}
				return 0, fmt.Errorf("%s is no kind of fact", name)
			}
		}
	}
	return 0, fmt.Errorf("%s: the head must be [kind, value] with a constant kind", r.Head)
}
