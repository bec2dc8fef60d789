package matrix

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

const ruleFiles = "../../policies/rules/*.rego"

// clause is one `contains` in a rule's file: what a rule refuses of one kind of
// fact at one level.
type clause struct {
	rule, level, kind string
}

func (c clause) String() string {
	return fmt.Sprintf("rule %s, level %s, kind %s", c.rule, c.level, c.kind)
}

// readClauses returns the clauses of all rules, and the file of each.
func readClauses(t *testing.T) (all []clause, files map[clause]string) {
	t.Helper()
	names, err := filepath.Glob(ruleFiles)
	if err != nil || len(names) == 0 {
		t.Fatalf("no rules in %s: %v", ruleFiles, err)
	}
	files = map[clause]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		module, err := ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{ProcessAnnotation: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range module.Rules {
			level := string(r.Head.Name)
			if level != "baseline" && level != "restricted" {
				continue
			}
			pair, ok := r.Head.Key.Value.(*ast.Array)
			if !ok || pair.Len() != 2 || len(r.Annotations) != 1 {
				t.Fatalf("%s: line %d: want [kind, value] and one block of metadata", name, r.Location.Row)
			}
			kind, _ := pair.Elem(0).Value.(ast.String)
			id, _ := r.Annotations[0].Custom["id"].(string)
			c := clause{id, level, string(kind)}
			all, files[c] = append(all, c), filepath.Base(name)
		}
	}
	slices.SortFunc(all, func(a, b clause) int {
		return cmp.Or(strings.Compare(a.rule, b.rule), strings.Compare(a.level, b.level), strings.Compare(a.kind, b.kind))
	})
	return all, files
}

// TestEveryClauseHasAnExample keeps a new rule from going untried.
func TestEveryClauseHasAnExample(t *testing.T) {
	all, files := readClauses(t)
	for _, c := range all {
		if e, ok := examples[c]; !ok || e.pod == nil && e.container == nil && !e.granted {
			t.Errorf("policies/rules/%s: nothing tries %s: add an example for clause{%q, %q, %q} to test/matrix/examples_test.go, and run: go test ./test/matrix -run TestMatrix -update",
				files[c], c, c.rule, c.level, c.kind)
		}
	}
	for c := range examples {
		if !slices.Contains(all, c) {
			t.Errorf("test/matrix/examples_test.go: there is no clause of %s: take its example out", c)
		}
	}
}
