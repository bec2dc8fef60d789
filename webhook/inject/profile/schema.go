package profile

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

var (
	yamlLine    = regexp.MustCompile(`line \d+`)
	schemaTypes = []string{"object", "array", "string", "integer", "number", "boolean"}
	// schemaWords are the words of OpenAPI v3 that a schema may use. A misspelt
	// one would check nothing.
	schemaWords = []string{
		"type", "format", "title", "description", "default", "enum",
		"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minLength", "maxLength", "pattern",
		"items", "minItems", "maxItems", "uniqueItems",
		"properties", "additionalProperties", "required", "minProperties", "maxProperties",
	}
)

// readSchema reads the schema of all parameters.
func readSchema(raw json.RawMessage) (*spec.Schema, *problem) {
	words := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &words); err != nil {
			return nil, problemAt("", "is not an object")
		}
	}
	if _, ok := words["type"]; !ok {
		words["type"] = "object"
	}
	if words["type"] != "object" {
		return nil, problemAt("type", "is %v, want object", words["type"])
	}
	if problem := checkSchema(words); problem != nil {
		return nil, problem
	}
	if words["additionalProperties"] != nil && words["additionalProperties"] != false {
		return nil, problemAt("additionalProperties", "has to be false: a misspelt parameter has to be an error")
	}
	schema, err := toSchema(words)
	if err != nil {
		return nil, problemAt("", "%v", err)
	}
	return schema, nil
}

func toSchema(words map[string]any) (*spec.Schema, error) {
	data, err := json.Marshal(words)
	if err != nil {
		return nil, fmt.Errorf("encoding the OpenAPI v3 schema: %w", err)
	}
	schema := &spec.Schema{}
	if err := json.Unmarshal(data, schema); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI v3 schema: %w", err)
	}
	return schema, nil
}

// checkSchema checks a schema and all below it. An object with properties gets
// no others, unless it says so.
func checkSchema(words map[string]any) *problem {
	for _, word := range slices.Sorted(maps.Keys(words)) {
		if !slices.Contains(schemaWords, word) {
			return problemAt(word, "is not allowed in a schema; there are %v", schemaWords)
		}
	}
	kind, _ := words["type"].(string)
	if !slices.Contains(schemaTypes, kind) {
		return problemAt("type", "is %v, want one of %v", words["type"], schemaTypes)
	}
	if pattern, ok := words["pattern"].(string); ok {
		if _, err := regexp.Compile(pattern); err != nil {
			return problemAt("pattern", "%v", err)
		}
	}
	if kind == "array" && words["items"] == nil {
		return problemAt("", "items is missing: say what the list holds")
	}
	if properties, ok := words["properties"].(map[string]any); ok {
		if problem := checkProperties(words, properties); problem != nil {
			return problem
		}
	}
	for _, word := range []string{"items", "additionalProperties"} {
		if below, ok := words[word].(map[string]any); ok {
			if problem := checkSchema(below); problem != nil {
				return problem.below(word)
			}
		}
	}
	schema, err := toSchema(words)
	if err != nil {
		return problemAt("", "%v", err)
	}
	return checkDefault(schema)
}

func checkProperties(words, properties map[string]any) *problem {
	if _, ok := words["additionalProperties"]; !ok {
		words["additionalProperties"] = false
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		schema, ok := properties[name].(map[string]any)
		if !ok {
			return problemAt("properties."+name, "is not a schema")
		}
		if problem := checkSchema(schema); problem != nil {
			return problem.below("properties." + name)
		}
	}
	required, _ := words["required"].([]any)
	for _, name := range required {
		if s, ok := name.(string); !ok || properties[s] == nil {
			return problemAt("required", "there is no property %v", name)
		}
	}
	return nil
}

func checkDefault(schema *spec.Schema) *problem {
	if schema.Default == nil {
		return nil
	}
	value := clone(schema.Default)
	if object, ok := value.(map[string]any); ok {
		fillDefaults(object, schema)
	}
	result := validate.NewSchemaValidator(schema, nil, "", strfmt.Default).Validate(value)
	if !result.IsValid() {
		return problemAt("default", "does not fit its schema: %v", result.Errors[0])
	}
	return nil
}
