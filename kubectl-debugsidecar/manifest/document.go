// Package manifest reads Kubernetes manifests (YAML or JSON, several documents,
// lists), finds the pods in them, and writes them back. A document that nobody
// changed comes out byte for byte as it came in.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	yamlv3 "go.yaml.in/yaml/v3"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Document is one document of a source.
type Document struct {
	// Source is the file's name, or "standard input"; Number counts from 1.
	Source string
	Number int
	// Root is the content, nil if there is none: a document may hold only
	// comments. Numbers in it are of type json.Number. Whoever changes it sets
	// Changed.
	Root    map[string]any
	Changed bool

	text   segment
	isJSON bool
}

// At says where the document stands, for messages.
func (d *Document) At() string { return fmt.Sprintf("%s, document %d", d.Source, d.Number) }

// parse cuts the data of a source into documents. Each document that can't be
// read is named in the error.
func parse(source string, data []byte) ([]*Document, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s: is not UTF-8 text", source)
	}
	var all []*Document
	var errs []error
	for _, s := range split(bytes.TrimPrefix(data, []byte("\uFEFF"))) {
		values, err := jsonValues(s)
		if values == nil && err == nil {
			d := &Document{Source: source, Number: len(all) + 1, text: s}
			all = append(all, d)
			if d.Root, err = yamlRoot(s); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", d.At(), err))
			}
			continue
		}
		for _, v := range values {
			d := &Document{Source: source, Number: len(all) + 1, isJSON: true}
			all = append(all, d)
			if d.Root, err = v.root, v.err; err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", d.At(), err))
			}
		}
	}
	return all, errors.Join(errs...)
}

func yamlRoot(s segment) (map[string]any, error) {
	if isVoid(s.body) {
		return nil, nil
	}
	text := s.body
	if len(s.head) > 0 {
		text = bytes.Join([][]byte{s.head, s.body}, nil) // directives count
	}
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, yamlError(err, s.line)
	}
	if err := checkSingle(text); err != nil {
		return nil, err
	}
	return root(data)
}

// otherBreaks are line breaks to a YAML parser, but not to split (YAML 1.1,
// section 5.4).
var otherBreaks = regexp.MustCompile("\r[^\n]|[\u0085\u2028\u2029]")

// checkSingle refuses text in which a YAML parser sees a second document that
// split did not see: it would go unread.
func checkSingle(text []byte) error {
	if !otherBreaks.Match(text) {
		return nil
	}
	d := yamlv3.NewDecoder(bytes.NewReader(text))
	var first, second yamlv3.Node
	if d.Decode(&first) == nil && d.Decode(&second) == nil {
		return errors.New("another document begins after a line break that is no newline; end lines with newlines")
	}
	return nil
}

// root decodes JSON that has to be an object, or null.
func root(data []byte) (map[string]any, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return v, nil
	case []any:
		return nil, errors.New("is a list; want a mapping with apiVersion and kind (a List has its objects in items)")
	}
	return nil, errors.New("is a single value; want a mapping with apiVersion and kind")
}

var lineOfError = regexp.MustCompile(`line (\d+)`)

// yamlError gives an error of the parser the line of the source, and fits it on
// one line.
func yamlError(err error, firstLine int) error {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	s = strings.TrimPrefix(s, "unmarshal errors:")
	s = lineOfError.ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.Atoi(m[len("line "):]) // the pattern has digits only
		return "line " + strconv.Itoa(n+firstLine-1)
	})
	var parts []string
	for part := range strings.Lines(s) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return errors.New(strings.Join(parts, "; "))
}

type jsonValue struct {
	root map[string]any
	err  error
}

// jsonValues reads a segment that is JSON, one value or several. It returns nil
// if the segment is not: a YAML flow mapping begins with a brace, too.
func jsonValues(s segment) ([]jsonValue, error) {
	body := bytes.TrimSpace(s.body)
	if len(body) == 0 || body[0] != '{' {
		return nil, nil
	}
	quoted := bytes.HasPrefix(bytes.TrimSpace(body[1:]), []byte(`"`))
	var all []jsonValue
	d := json.NewDecoder(bytes.NewReader(s.body))
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			if !quoted {
				return nil, nil
			}
			if len(all) == 0 {
				if _, yamlErr := yaml.YAMLToJSON(s.body); yamlErr == nil {
					return nil, nil
				}
			}
			line := s.line + bytes.Count(s.head, []byte("\n")) + bytes.Count(s.body[:d.InputOffset()], []byte("\n"))
			return append(all, jsonValue{err: fmt.Errorf("near line %d: %w", line, err)}), nil
		}
		var v jsonValue
		v.root, v.err = root(raw)
		if v.err == nil {
			v.err = duplicates(raw)
		}
		all = append(all, v)
	}
	return all, nil
}

func duplicates(data []byte) error {
	var ignored any
	strict, err := kjson.UnmarshalStrict(data, &ignored, kjson.DisallowDuplicateFields)
	return errors.Join(append(strict, err)...)
}
