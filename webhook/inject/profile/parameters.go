package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"
)

// parameters is the OpenAPI v3 schema of a profile's parameters.
type parameters struct {
	schema    *spec.Schema
	validator *validate.SchemaValidator
	checked   *bounded[string, Params] // by the annotation's text
}

// Params are parameters that were checked against their profile's schema, with
// its defaults filled in.
type Params struct {
	values map[string]any
	key    string // canonical JSON
}

const (
	// maxParameters is how many bytes parameters may have, as text and as JSON.
	// Linux starts no program with a variable of 128 KiB (MAX_ARG_STRLEN).
	maxParameters = 32 << 10
	// maxProblems is how many problems an error names.
	maxProblems = 5
)

// newParameters reads a schema.
func newParameters(raw json.RawMessage) (*parameters, *problem) {
	schema, problem := readSchema(raw)
	if problem != nil {
		return nil, problem
	}
	p := &parameters{
		schema:    schema,
		validator: validate.NewSchemaValidator(schema, nil, "", strfmt.Default),
		checked:   newBounded[string, Params](),
	}
	if _, err := p.parse(""); err != nil {
		return nil, problemAt("", "the defaults do not fit the schema: %v", err)
	}
	return p, nil
}

// typeOf returns a parameter's type, and whether there is such a parameter.
func (p *parameters) typeOf(name string) (string, bool) {
	s, ok := p.schema.Properties[name]
	if !ok || len(s.Type) == 0 {
		return "", ok
	}
	return s.Type[0], true
}

// parse reads a YAML object, fills in the defaults and checks it. Each problem
// is named in the error, but never a value: it could be a credential.
func (p *parameters) parse(text string) (Params, error) {
	if checked, ok := p.checked.get(text); ok {
		return checked, nil
	}
	if len(text) > maxParameters {
		return Params{}, fmt.Errorf("has %d bytes, at most %d are allowed", len(text), maxParameters)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &values); err != nil {
		return Params{}, notYAML(err)
	}
	if values == nil {
		values = map[string]any{}
	}
	params, err := p.check(values)
	if err == nil && len(text) <= cacheKeyBytes {
		p.checked.put(text, params)
	}
	return params, err
}

// notYAML says where a text is no YAML object, without what stands there.
func notYAML(err error) error {
	s := err.Error()
	switch at := yamlLine.FindString(s); {
	case strings.Contains(s, "already set in map"):
		return fmt.Errorf("a name stands there twice (%s)", at)
	case at != "":
		return fmt.Errorf("is not YAML (%s)", at)
	}
	return errors.New("is not a YAML object, such as {logLevel: debug}")
}

func (p *parameters) check(values map[string]any) (Params, error) {
	fillDefaults(values, p.schema)
	if path := findNUL(values, ""); path != "" {
		return Params{}, fmt.Errorf("%s: holds a NUL character, which no environment can", path)
	}
	if result := p.validator.Validate(values); !result.IsValid() {
		return Params{}, p.explain(result.Errors)
	}
	key, err := json.Marshal(values)
	if err != nil {
		return Params{}, fmt.Errorf("encoding parameters: %w", err)
	}
	if len(key) > maxParameters {
		return Params{}, fmt.Errorf("has %d bytes with everything in it, at most %d are allowed", len(key), maxParameters)
	}
	return Params{values: values, key: string(key)}, nil
}

// explain names a few of the problems, and the parameters that there are where
// a name is unknown.
func (p *parameters) explain(errs []error) error {
	unknown := false
	problems := make([]string, len(errs))
	for i, err := range errs {
		problems[i] = strings.ReplaceAll(strings.TrimPrefix(err.Error(), "."), " in body", "")
		unknown = unknown || strings.Contains(problems[i], "is a forbidden property")
	}
	slices.Sort(problems)
	problems = slices.Compact(problems)
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems], fmt.Sprintf("and %d more", more))
	}
	text := strings.Join(problems, "; ")
	if unknown {
		text += " (there are: " + strings.Join(slices.Sorted(maps.Keys(p.schema.Properties)), ", ") + ")"
	}
	return errors.New(text)
}

// fillDefaults sets what the schema gives a default for, also inside objects
// that are there.
func fillDefaults(values map[string]any, schema *spec.Schema) {
	for name, property := range schema.Properties {
		v, ok := values[name]
		if !ok && property.Default != nil {
			v, ok = clone(property.Default), true
			values[name] = v
		}
		if object, isObject := v.(map[string]any); ok && isObject {
			fillDefaults(object, &property)
		}
	}
}

// clone copies decoded JSON.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// findNUL returns the path of a text that holds a NUL character.
func findNUL(v any, path string) string {
	switch v := v.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			return path
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if strings.ContainsRune(k, 0) {
				return join(path, strings.ReplaceAll(k, "\x00", "\\0"))
			}
			if p := findNUL(v[k], join(path, k)); p != "" {
				return p
			}
		}
	case []any:
		for i, e := range v {
			if p := findNUL(e, fmt.Sprintf("%s[%d]", path, i)); p != "" {
				return p
			}
		}
	}
	return ""
}
