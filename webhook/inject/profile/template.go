package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	gotemplate "text/template"

	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/webhook/internal/yamlfile"
)

// Variant is what a template may depend on other than by parameters.
type Variant struct {
	Tier      Tier
	Placement Placement
}

// variantsOf lists the variants that a profile with the tiers has.
func variantsOf(tiers []Tier) []Variant {
	var all []Variant
	for _, tier := range tiers {
		all = append(all, Variant{tier, Native}, Variant{tier, Ordinary})
	}
	return all
}

// template is a template's text and where it stands.
type template struct {
	source   string
	line     int // of the file, in which text starts
	text     string
	settings map[string]map[string]string
}

// tree is what a variant of the template says, as decoded YAML with placeholders.
type tree struct {
	root map[string]any
	text yamlfile.Text // for the lines in errors
}

// errorAt is an error at a line of the template, counted from 1.
func (t template) errorAt(line int, format string, args ...any) error {
	at := yamlfile.Text{Source: t.source, First: t.line}.AtLine(line)
	return fmt.Errorf("%s: %w", at, fmt.Errorf(format, args...))
}

// variants executes the template for each tier and both placements.
func (t template) variants(tiers []Tier) (map[Variant]*tree, error) {
	exec, err := t.parse()
	if err != nil {
		return nil, err
	}
	trees := map[Variant]*tree{}
	for _, v := range variantsOf(tiers) {
		var b strings.Builder
		data := map[string]any{"tier": string(v.Tier), "placement": string(v.Placement)}
		for name, values := range t.settings {
			data[name] = values
		}
		err := exec.Execute(&b, data)
		if err != nil {
			return nil, t.templateError(err)
		}
		tr := &tree{text: yamlfile.Text{Source: t.source, First: t.line, YAML: b.String()}}
		if tr.root, err = decode(tr.text.YAML); err != nil {
			return nil, tr.text.SyntaxError(err)
		}
		if problem := tr.unwrap(); problem != nil {
			return nil, problem.in(tr.text)
		}
		trees[v] = tr
	}
	return trees, nil
}

// parse parses the template and rewrites its tree; see rewrite.
func (t template) parse() (*gotemplate.Template, error) {
	if err := t.checkActions(); err != nil {
		return nil, err
	}
	tpl := gotemplate.New("template").Option("missingkey=error").Funcs(gotemplate.FuncMap{
		"json":        wholeValue,
		"placeholder": func(name string) (string, error) { return toYAML(markOpen + name + markClose) },
	})
	if _, err := tpl.Parse(t.text); err != nil {
		return nil, t.templateError(err)
	}
	for _, other := range tpl.Templates() {
		if other.Name() != "template" {
			return nil, t.errorAt(1+strings.Count(t.text[:strings.Index(t.text, other.Name())], "\n"),
				"a profile is one template: define and block are not allowed")
		}
	}
	if tpl.Tree == nil {
		return nil, t.errorAt(1, "the template is empty")
	}
	if err := t.rewrite(tpl.Root); err != nil {
		return nil, err
	}
	return tpl, nil
}

// checkActions refuses what would change the number of lines: a line of what is
// rendered has to be the same line of the template, for errors.
func (t template) checkActions() error {
	for at := 0; ; {
		i := strings.Index(t.text[at:], "{{")
		if i < 0 {
			return nil
		}
		at += i + len("{{")
		line := 1 + strings.Count(t.text[:at], "\n")
		action, _, closed := strings.Cut(t.text[at:], "}}")
		switch {
		case strings.HasPrefix(action, "-") || closed && strings.HasSuffix(action, "-"):
			return t.errorAt(line, "trim markers are not needed: blank lines are fine in YAML")
		case closed && strings.Contains(action, "\n"):
			return t.errorAt(line, "an action has to stand on one line")
		}
		at += len(action)
	}
}

var atLine = regexp.MustCompile(`^template: template:(\d+)(?::\d+)?: `)

// templateError gives an error of text/template its line of the file.
func (t template) templateError(err error) error {
	m := atLine.FindStringSubmatch(err.Error())
	if m == nil {
		return t.errorAt(1, "%w", err)
	}
	line, _ := strconv.Atoi(m[1])
	return t.errorAt(line, "%s", strings.TrimPrefix(err.Error(), m[0]))
}

// decode reads one YAML mapping of JSON's types, with unique keys.
func decode(text string) (map[string]any, error) {
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, err
	}
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, errors.New("the template has to render a partial pod: containers and volumes")
	}
	return v, nil
}
