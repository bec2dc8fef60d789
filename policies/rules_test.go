package policies_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// ruleModules parses rules/: the rules by file name, and their tests.
func ruleModules(t *testing.T) (rules, tests map[string]*ast.Module) {
	t.Helper()
	files, err := filepath.Glob("rules/*.rego")
	if err != nil {
		t.Fatal(err)
	}
	rules, tests = map[string]*ast.Module{}, map[string]*ast.Module{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		module, err := ast.ParseModuleWithOpts(file, string(text), ast.ParserOptions{ProcessAnnotation: true})
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.rego") {
			tests[file] = module
		} else {
			rules[file] = module
		}
	}
	return rules, tests
}

// TestRego runs the tests in rules/. They see the default parameters as
// data.parameters.
func TestRego(t *testing.T) {
	rules, tests := ruleModules(t)
	modules := map[string]*ast.Module{}
	for _, some := range []map[string]*ast.Module{rules, tests} {
		for file, module := range some {
			modules[file] = module
		}
	}
	var parameters map[string]any
	if err := yaml.Unmarshal([]byte(policies.DefaultParameters()), &parameters); err != nil {
		t.Fatal(err)
	}
	store := inmem.NewFromObject(map[string]any{"parameters": parameters})
	txn, err := store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	results, err := tester.NewRunner().SetModules(modules).SetStore(store).SetTimeout(time.Minute).
		RaiseBuiltinErrors(true).RunTests(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	passed := map[string]int{}
	for result := range results {
		if !result.Pass() {
			t.Errorf("%s: %s: %v", result.Location, result.Name, result)
			continue
		}
		passed[result.Location.File]++
	}
	for file := range rules {
		if beside := strings.TrimSuffix(file, ".rego") + "_test.rego"; passed[beside] < 2 {
			t.Errorf("%s has %d passing tests in %s, want one that refuses and one that passes", file, passed[beside], beside)
		}
	}
}

func TestRegoIsFormatted(t *testing.T) {
	files, err := filepath.Glob("rules/*.rego")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		formatted, err := format.Source(file, text)
		if err != nil {
			t.Fatal(err)
		}
		if string(formatted) != string(text) {
			t.Errorf("%s is not as opa fmt writes it:\n%s", file, formatted)
		}
	}
}

func TestEveryRuleFileOpensWithItsSpecification(t *testing.T) {
	rules, _ := ruleModules(t)
	known, err := policies.Rules()
	if err != nil {
		t.Fatal(err)
	}
	if len(known) != len(rules) {
		t.Errorf("%d files make %d rules, want one rule a file", len(rules), len(known))
	}
	for file := range rules {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		opening, _, _ := strings.Cut(string(text), "package policies")
		for _, part := range []string{"Restricted fields", "Allowed values:", "Pod Security check: "} {
			if !strings.Contains(opening, part) {
				t.Errorf("%s: the opening comment doesn't say %q", file, part)
			}
		}
		id := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".rego"), "_", "-")
		i := slices.IndexFunc(known, func(r policies.Rule) bool { return r.ID == id })
		if i < 0 {
			t.Errorf("%s: no rule has the id %s", file, id)
			continue
		}
		for _, check := range known[i].Checks {
			if !strings.Contains(opening, "Pod Security check: "+check+"\n") {
				t.Errorf("%s: the opening comment doesn't name the check %s", file, check)
			}
		}
	}
}

// A misspelt fact would make a rule that never refuses anything.
func TestRulesReadEveryFactAndNoOther(t *testing.T) {
	rules, _ := ruleModules(t)
	read := map[string]bool{}
	var parametersRead []string
	for file, module := range rules {
		ast.WalkRefs(module, func(ref ast.Ref) bool {
			if !ref.HasPrefix(ast.InputRootRef) || len(ref) < 2 {
				return false
			}
			name := string(ref[1].Value.(ast.String))
			_, isKind := facts.KindOf(name)
			switch {
			case isKind:
				read[name] = true
			case name == "parameters":
				parametersRead = append(parametersRead, strings.TrimPrefix(ref.String(), "input.parameters."))
			case name != "windows" && name != "userNamespace" && name != "selinuxLevelWithin":
				t.Errorf("%s reads input.%s, which doesn't exist", file, name)
			}
			return false
		})
	}
	for _, kind := range facts.Kinds() {
		if !read[kind.String()] {
			t.Errorf("no rule reads input.%s", kind)
		}
	}
	for _, path := range parametersRead {
		if !hasDefault(path) {
			t.Errorf("the parameter %s has no default", path)
		}
	}
	known, err := policies.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range known {
		for _, path := range rule.Parameters {
			if !slices.Contains(parametersRead, path) {
				t.Errorf("%s claims to read the parameter %s", rule.ID, path)
			}
		}
	}
}

// hasDefault says whether parameters.yaml sets a parameter.
func hasDefault(path string) bool {
	var sections map[string]map[string]any
	if yaml.Unmarshal([]byte(policies.DefaultParameters()), &sections) != nil {
		return false
	}
	section, name, _ := strings.Cut(path, ".")
	_, set := sections[section][name]
	return set
}
