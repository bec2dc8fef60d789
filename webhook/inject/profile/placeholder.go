package profile

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A placeholder stands for a parameter while the template is executed. The
// marks are private-use characters, so no ordinary text is one.
const (
	markOpen     = "\uE000"
	markClose    = "\uE001"
	portName     = "port"
	paramsPrefix = "params/" // without a dot, which parts a path
)

var anyPlaceholder = regexp.MustCompile(markOpen + "([^" + markClose + "]*)" + markClose)

// What else an action gives is between marks, too, until it is known that it is
// a whole value of the YAML.
const (
	valueOpen  = "\uE002"
	valueClose = "\uE003"
)

// wholeValue writes what an action gives.
func wholeValue(v any) (string, error) {
	if s, ok := v.(string); ok {
		v = valueOpen + s + valueClose
	}
	return toYAML(v)
}

// toYAML writes JSON that is YAML, too: of the characters that JSON leaves as
// they are, some are line breaks in YAML, and some are not allowed.
func toYAML(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, r := range string(data) {
		if r >= 0x7f && r <= 0x9f || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}

// unwrap takes the marks off the values of actions, and refuses an action that
// is only a part of a value.
func (tr *tree) unwrap() *problem {
	var found *problem
	var visit func(v any, path string) any
	visit = func(v any, path string) any {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				if strings.Contains(key, valueOpen) {
					found = problemAt(path, "an action can't be a key")
				}
				v[key] = visit(v[key], join(path, key))
			}
		case []any:
			for i, e := range v {
				v[i] = visit(e, fmt.Sprintf("%s[%d]", path, i))
			}
		case string:
			if !strings.Contains(v, valueOpen) {
				return v
			}
			inner, closed := strings.CutSuffix(strings.TrimPrefix(v, valueOpen), valueClose)
			if !closed || !strings.HasPrefix(v, valueOpen) || strings.Contains(inner, valueOpen) {
				found = problemAt(path, "an action has to be the whole value: put the parts together in an if, or in the program")
			}
			return inner
		}
		return v
	}
	visit(tr.root, "")
	return found
}
