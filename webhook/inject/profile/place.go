package profile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// place is where in the rendered pod a placeholder stands.
type place int

const (
	placeNone place = iota
	placeEnv
	placeArgument
	placeSecret
	placeResources
	placeQuantity
	placePort
)

var places = []struct {
	pattern *regexp.Regexp
	place   place
}{
	{regexp.MustCompile(`^containers\[\d+\]\.env\[\d+\]\.value$`), placeEnv},
	{regexp.MustCompile(`^containers\[\d+\]\.args\[\d+\]$`), placeArgument},
	{regexp.MustCompile(`^containers\[\d+\]\.env\[\d+\]\.valueFrom\.secretKeyRef$`), placeSecret},
	{regexp.MustCompile(`^containers\[\d+\]\.resources$`), placeResources},
	{regexp.MustCompile(`^containers\[\d+\]\.resources\.(requests|limits)\.(cpu|memory|ephemeral-storage)$`), placeQuantity},
	{regexp.MustCompile(`^containers\[\d+\]\.ports\[\d+\]\.containerPort$`), placePort},
}

func placeOf(path string) place {
	for _, p := range places {
		if p.pattern.MatchString(path) {
			return p.place
		}
	}
	return placeNone
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// checkPlaceholders refuses a placeholder where a parameter may not stand, or
// one that is only a part of a value.
func (tr *tree) checkPlaceholders(p *parameters) (found *problem) {
	walk(tr.root, "", func(path, text string, isKey bool) {
		m := anyPlaceholder.FindStringSubmatch(text)
		if m == nil || found != nil {
			return
		}
		if problem := placeholderProblem(m, path, text, isKey, p); problem != "" {
			if isKey {
				path = join(path, text)
			}
			found = problemAt(path, "%s", problem)
		}
	})
	return found
}

func placeholderProblem(m []string, path, text string, isKey bool, p *parameters) string {
	shown, where := show(m[0]), placeOf(path)
	switch {
	case isKey:
		return shown + " can't be a key"
	case m[0] != text:
		return shown + " has to be the whole value: let the program put the parts together"
	case m[1] == portName && where != placePort && where != placeEnv && where != placeArgument:
		return shown + " may stand in an env value, an argument or a containerPort"
	case m[1] == portName:
		return ""
	case where == placeNone || where == placePort:
		return "can't depend on a parameter: parameters may stand in env values, args, secretKeyRef and resources"
	}
	name := strings.TrimPrefix(m[1], paramsPrefix)
	kind, ok := p.typeOf(name)
	switch {
	case !ok:
		return fmt.Sprintf("there is no parameter %q in spec.parameters", name)
	case (where == placeSecret || where == placeResources) && kind != "object":
		return fmt.Sprintf("parameter %q is of type %s, it has to be an object here", name, kind)
	case where == placeQuantity && (kind == "object" || kind == "array" || kind == "boolean"):
		return fmt.Sprintf("parameter %q is of type %s, it has to be a quantity here", name, kind)
	}
	return ""
}

// show writes placeholders as a template's author did.
func show(text string) string {
	return strings.NewReplacer(markOpen, "{{ .", markClose, " }}", paramsPrefix, "params.").Replace(text)
}

// walk calls visit for each key and each text below v.
func walk(v any, path string, visit func(path, text string, isKey bool)) {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			visit(path, k, true)
			walk(v[k], join(path, k), visit)
		}
	case []any:
		for i, e := range v {
			walk(e, fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case string:
		visit(path, v, false)
	}
}
