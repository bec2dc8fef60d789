// Package yamlfile decodes YAML files strictly and names the file and the line
// of everything that is wrong in them.
package yamlfile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Decode reads data into the value that into points at. Names of fields are
// case-sensitive; an unknown and a repeated field are errors. Each error names
// source and a line.
func Decode(source string, data []byte, into any) error {
	text := Text{source, 1, string(data)}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return text.SyntaxError(err)
	}
	return DecodeJSON(text, asJSON, into)
}

// Text is YAML and where it stands.
type Text struct {
	Source string
	First  int // line of the source in which YAML starts, counted from 1
	YAML   string
}

// At returns "source:line" of the node of path, which is like
// containers[0].image, or of its nearest parent.
func (t Text) At(path string) string { return position(t.Source, t.First, line(t.YAML, path)) }

// AtLine returns "source:line" of a line of the text, counted from 1.
func (t Text) AtLine(line int) string { return position(t.Source, t.First, line) }

func position(source string, first, line int) string {
	return source + ":" + strconv.Itoa(first+line-1)
}

var (
	lineOf     = regexp.MustCompile(`\bline (\d+)`)
	converters = []string{"error converting YAML to JSON: ", "yaml: ", "unmarshal errors:\n"}
)

// SyntaxError gives a YAML parser's error about the text its source and line; it
// takes the parser's own words off, which mean nothing to whoever wrote it.
func (t Text) SyntaxError(err error) error {
	text := err.Error()
	for _, words := range converters {
		text = strings.TrimSpace(strings.TrimPrefix(text, words))
	}
	fromZero := 0
	if strings.Contains(text, "did not find expected") {
		fromZero = 1 // the parser counts lines from 0, the scanner from 1
	}
	last := 1 + strings.Count(strings.TrimSuffix(t.YAML, "\n"), "\n")
	text = lineOf.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(s, "line "))
		return "line " + strconv.Itoa(t.First-1+min(n+fromZero, last))
	})
	line := strconv.Itoa(t.First)
	if m := lineOf.FindStringSubmatch(text); m != nil {
		line = m[1]
		text = strings.TrimPrefix(text, m[0]+": ")
	}
	return fmt.Errorf("%s:%s: %s", t.Source, line, text)
}
