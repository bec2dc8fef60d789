package policies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/policies/internal/sandbox"
)

// OwnRules are rules that a cluster's administrator wrote. They have the form of
// the shipped ones and stand beside them: what they refuse is refused too, and
// nothing else changes. They are immutable.
type OwnRules struct {
	rules          []*ownRule
	modules, tests map[string]*ast.Module
	problem        error         // why there are none, though there should be
	time           time.Duration // for one rule and a pod
	timeForAll     time.Duration // for all rules and a request
}

// ownRule is one of them: a file.
type ownRule struct {
	Rule
	book                 *rulebook // of this rule alone
	baseline, restricted *sandbox.Program
}

const (
	ownPackage  = "custom" // each rule is a package in it
	ownLibrary  = "lib"    // a package in there, for what rules share
	ownIDPrefix = "custom-"
	maxOwnRules = 64 // each is a label of metrics

	// ownRulesID stands for all rules where they can't be told apart.
	ownRulesID = ownIDPrefix + "rules"
)

var ownID = regexp.MustCompile(`^` + ownIDPrefix + `[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$`)

// RuleFiles are files of Rego, by path.
type RuleFiles map[string]string

// ReadRuleFiles reads the files in a directory whose names end in .rego.
func ReadRuleFiles(dir string) (RuleFiles, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	files, size := RuleFiles{}, 0
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".rego" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		// What is far too large is not read first and then refused.
		switch info, err := os.Stat(path); {
		case err != nil:
			return nil, fmt.Errorf("reading rules: %w", err)
		case info.Size() > sandbox.MaxFileBytes:
			return nil, fmt.Errorf("%s: %d bytes are more than the %d that a file may have", path, info.Size(), sandbox.MaxFileBytes)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading rules: %w", err)
		}
		if size += len(text); size > sandbox.MaxBytes || len(files) == sandbox.MaxFiles {
			return nil, fmt.Errorf("%s: more than %d files or %d bytes of rules", dir, sandbox.MaxFiles, sandbox.MaxBytes)
		}
		files[path] = string(text)
	}
	return files, nil
}

// Hash is the same for the same names and texts, whatever the directory.
func (f RuleFiles) Hash() string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(f)) {
		fmt.Fprintf(h, "%q %q\n", filepath.Base(path), f[path])
	}
	return hex.EncodeToString(h.Sum(nil))
}

var anyOwnID = regexp.MustCompile(`\b` + ownIDPrefix + `[a-z0-9-]+`)

// IDs returns whatever looks like the id of a rule in the files, whether they
// can be compiled or not.
func (f RuleFiles) IDs() []string {
	var ids []string
	for _, text := range f {
		ids = append(ids, anyOwnID.FindAllString(text, -1)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// CompileOwnRules compiles files into rules; files whose names end in _test.rego
// are their tests. An error has a line for each mistake, with file and line. No
// test is run.
func CompileOwnRules(ctx context.Context, files RuleFiles) (*OwnRules, error) {
	o := &OwnRules{modules: map[string]*ast.Module{}, tests: map[string]*ast.Module{}, time: ownTime, timeForAll: ownTimeForAll}
	var errs []error
	packages, ids := map[string]string{}, map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		errs = append(errs, o.add(path, files[path], packages, ids))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(o.rules) > maxOwnRules {
		return nil, fmt.Errorf("%d rules are more than the %d that there may be", len(o.rules), maxOwnRules)
	}
	known, err := defaults()
	if err != nil {
		return nil, err
	}
	compiler, err := sandbox.Compile(o.modules, func(ref ast.Ref) error { return checkRef(ref, known.cluster.document) })
	if err != nil {
		return nil, err
	}
	for _, r := range o.rules {
		if err := r.prepare(ctx, compiler, o.modules[r.File].Package.Path.String()); err != nil {
			return nil, fmt.Errorf("%s: %w", r.File, err)
		}
	}
	slices.SortFunc(o.rules, func(a, b *ownRule) int { return strings.Compare(a.ID, b.ID) })
	return o, nil
}

// UnusableOwnRules stands for rules that could not be compiled: whatever they
// would have judged stays undecided, which a namespace that enforces a level
// denies.
func UnusableOwnRules(why error) *OwnRules { return &OwnRules{problem: why} }

// Rules describes the rules, in the order of their ids. It is empty for nil.
func (o *OwnRules) Rules() []Rule {
	if o == nil {
		return nil
	}
	all := make([]Rule, len(o.rules))
	for i, r := range o.rules {
		all[i] = r.Rule
	}
	return all
}

func (o *OwnRules) add(path, text string, packages, ids map[string]string) error {
	module, err := sandbox.Parse(path, text)
	if err != nil {
		return err
	}
	if strings.HasSuffix(path, "_test.rego") {
		if name := module.Package.Path.String(); !strings.HasSuffix(name, "_test") {
			return fmt.Errorf("%s:%d: the package of a test has to end in _test", path, module.Package.Location.Row)
		}
		o.tests[path] = module
		return nil
	}
	library, err := placeOf(module)
	if err != nil {
		return fmt.Errorf("%s:%d: %w", path, module.Package.Location.Row, err)
	}
	name := module.Package.Path.String()
	if other, taken := packages[name]; taken {
		return fmt.Errorf("%s:%d: %s is the package of %s already", path, module.Package.Location.Row, strings.TrimPrefix(name, "data."), other)
	}
	packages[name] = path
	o.modules[path] = module
	if library {
		return nil
	}
	r := &ownRule{book: &rulebook{clauses: map[clauseKey]*clause{}, replaced: map[string]bool{}}}
	if err := r.book.addModule(path, module); err != nil {
		return err
	}
	r.Rule = r.book.rules[0]
	switch other, taken := ids[r.ID]; {
	case taken:
		return fmt.Errorf("%s: the id %s is that of %s already", path, r.ID, other)
	case !ownID.MatchString(r.ID) || r.ID == ownRulesID:
		return fmt.Errorf("%s: the id %q has to be %s and at most 50 small letters, digits and hyphens, and not %s", path, r.ID, ownIDPrefix, ownRulesID)
	}
	ids[r.ID] = path
	o.rules = append(o.rules, r)
	return nil
}

// placeOf says whether a module is a library; it is an error if it is none and
// no rule either.
func placeOf(module *ast.Module) (library bool, err error) {
	path := module.Package.Path
	if len(path) < 3 || path[1].Value.Compare(ast.String(ownPackage)) != 0 {
		return false, fmt.Errorf("the package has to be %[1]s.NAME, one for each rule, or %[1]s.%[2]s for what rules share", ownPackage, ownLibrary)
	}
	name, _ := path[2].Value.(ast.String)
	switch {
	case name == ownLibrary:
		return true, nil
	case len(path) > 3:
		return false, fmt.Errorf("the package of a rule has to be %s.NAME", ownPackage)
	case strings.HasSuffix(string(name), "_test"):
		return false, errors.New("the package ends in _test, and so has the name of the file to: _test.rego")
	}
	return false, nil
}

// checkRef refuses what a rule would never find. A misspelt fact would make a
// rule that never refuses anything.
func checkRef(ref ast.Ref, parameters *ast.Term) error {
	if ref.HasPrefix(ast.DefaultRootRef) {
		if len(ref) < 2 || ref[1].Value.Compare(ast.String(ownPackage)) != 0 {
			return fmt.Errorf("%s: there is no data but that of the rules, data.%s", ref, ownPackage)
		}
		return nil
	}
	if len(ref) < 2 {
		return errors.New("name the fact, as in input.volumeTypes: input as a whole is not to be had")
	}
	key, ok := ref[1].Value.(ast.String)
	switch {
	case !ok:
		return fmt.Errorf("%s: name the fact, as in input.volumeTypes", ref)
	case !slices.Contains(facts.Keys(), string(key)):
		return fmt.Errorf("there is no input.%s; there are %s", string(key), strings.Join(facts.Keys(), ", "))
	case ref[1].Equal(parametersTerm):
		return checkParameter(ref, parameters)
	}
	return nil
}

var parametersTerm = ast.StringTerm("parameters")

func checkParameter(ref ast.Ref, parameters *ast.Term) error {
	if len(ref) < 4 || !ref[:4].IsGround() {
		return fmt.Errorf("%s: name the parameter, as in input.parameters.volumes.allowedTypes", ref)
	}
	if _, err := parameters.Value.Find(ref[2:4]); err != nil {
		return fmt.Errorf("there is no %s that rules see", ref[:4])
	}
	return nil
}

func (r *ownRule) prepare(ctx context.Context, compiler *ast.Compiler, name string) (err error) {
	queries := map[Level]string{}
	for key := range r.book.clauses {
		queries[key.level] = fmt.Sprintf("%[1]s = %[2]s.%[1]s", key.level, name)
	}
	if q, ok := queries[Baseline]; ok {
		if r.baseline, err = sandbox.Prepare(ctx, compiler, q); err != nil {
			return err
		}
	}
	all := slices.Sorted(maps.Values(queries))
	r.restricted, err = sandbox.Prepare(ctx, compiler, strings.Join(all, "; "))
	return err
}
