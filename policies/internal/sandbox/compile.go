package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Parse reads a file of Rego. Errors name file and line.
func Parse(name, text string) (*ast.Module, error) {
	if len(text) > MaxFileBytes {
		return nil, fmt.Errorf("%s: %d bytes are more than the %d that a file may have", name, len(text), MaxFileBytes)
	}
	if row := tooDeep(text); row > 0 {
		return nil, fmt.Errorf("%s:%d: more than %d brackets are open", name, row, maxNesting)
	}
	module, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{ProcessAnnotation: true, Capabilities: capabilities()})
	if err != nil {
		return nil, explain(err)
	}
	return module, nil
}

// tooDeep returns the line in which too many brackets are open, or 0. A parser
// that calls itself for each would run out of stack, which ends the process.
func tooDeep(text string) int {
	row, depth := 1, 0
	for i := range len(text) {
		switch text[i] {
		case '\n':
			row++
		case '(', '[', '{':
			if depth++; depth > maxNesting {
				return row
			}
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
	}
	return 0
}

// Compile compiles modules strictly, by their file names. What check says of a
// reference to data or input is an error at its place.
func Compile(modules map[string]*ast.Module, check func(ast.Ref) error) (*ast.Compiler, error) {
	var errs []error
	for _, name := range names(modules) {
		errs = append(errs, calls(modules[name])...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	c := newCompiler()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Compile(modules)
	}()
	// The type of a value that holds another twice, and so on, doubles each time;
	// nothing cancels the compiler.
	select {
	case <-done:
	case <-time.After(compileTime):
		return nil, fmt.Errorf("compiling the rules took longer than %s", compileTime)
	}
	if c.Failed() {
		return nil, explain(c.Errors)
	}
	for _, name := range names(c.Modules) {
		errs = append(errs, refs(c.Modules[name], check)...)
	}
	return c, errors.Join(errs...)
}

const compileTime = 30 * time.Second

func newCompiler() *ast.Compiler {
	return ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities())
}

func names(modules map[string]*ast.Module) []string {
	all := make([]string, 0, len(modules))
	for name := range modules {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// calls finds built-ins that exist in OPA and are not allowed here.
func calls(module *ast.Module) (errs []error) {
	refuse := func(operator *ast.Term) {
		ref, ok := operator.Value.(ast.Ref)
		if !ok {
			return
		}
		name := ref.String()
		if _, exists := ast.BuiltinMap[name]; !exists || slices.Contains(allowed, name) {
			return
		}
		switch name {
		case "internal.template_string":
			name = "a template string"
		case "internal.print":
			name = "print"
		case "mul":
			name = "a multiplication"
		}
		errs = append(errs, at(operator.Location, "%s is not allowed here: rules see their input alone, and no built-in may give more than it is given", name))
	}
	row := module.Package.Location // of the innermost that has one
	visitor := ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Term:
			row = cmp.Or(x.Location, row)
		case *ast.Expr:
			row = cmp.Or(x.Location, row)
			if x.IsCall() {
				refuse(x.Terms.([]*ast.Term)[0])
			}
		case ast.Call:
			refuse(x[0])
		case *ast.TemplateString:
			errs = append(errs, at(row, "a template string is not allowed here: no value may be made that is larger than what it is made of"))
		case *ast.With:
			if target, ok := x.Target.Value.(ast.Ref); ok && !target.HasPrefix(ast.InputRootRef) {
				errs = append(errs, at(x.Location, "with may replace input alone"))
			}
		}
		return false
	})
	visitor.Walk(module)
	return errs
}

// refs asks check about each reference to data or input.
func refs(module *ast.Module, check func(ast.Ref) error) (errs []error) {
	seen := map[string]bool{}
	visitor := ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Package, *ast.Import, *ast.Annotations, *ast.AnnotationsRef:
			return true
		case *ast.Term:
			ref, ok := x.Value.(ast.Ref)
			if !ok || !ref.HasPrefix(ast.InputRootRef) && !ref.HasPrefix(ast.DefaultRootRef) {
				return false
			}
			if err := check(ref); err != nil {
				if err := at(x.Location, "%w", err); !seen[err.Error()] {
					seen[err.Error()] = true
					errs = append(errs, err)
				}
			}
		}
		return false
	})
	visitor.Walk(module)
	return errs
}

func at(l *ast.Location, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if l == nil || l.File == "" {
		return err
	}
	return fmt.Errorf("%s:%d: %w", l.File, l.Row, err)
}

// explain turns OPA's errors into ours: one for each place, without OPA's codes.
func explain(err error) error {
	var list ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &one):
		list = ast.Errors{one}
	default:
		return err
	}
	var errs []error
	for _, e := range list {
		errs = append(errs, at(e.Location, "%s", strings.ReplaceAll(strings.TrimSpace(e.Message), "\n", " ")))
	}
	return errors.Join(errs...)
}
