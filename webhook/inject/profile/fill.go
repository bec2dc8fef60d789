package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	kjson "sigs.k8s.io/json"
)

// fill puts the parameters where their placeholders stand and encodes the
// result.
func (f *filler) fill(tr *tree) ([]byte, error) {
	root := f.node(tr.root, "")
	if f.err != nil {
		return nil, f.err
	}
	data, err := json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("encoding what was rendered: %w", err)
	}
	return data, nil
}

// decodePod decodes strictly what was filled.
func decodePod(data []byte) (*partialPod, error) {
	var pod partialPod
	strict, err := kjson.UnmarshalStrict(data, &pod, kjson.DisallowUnknownFields)
	if err == nil {
		err = errors.Join(strict...)
	}
	if err != nil {
		return nil, err
	}
	return &pod, nil
}

type filler struct {
	in Input
	// keepUnset keeps env entries whose parameter is not given, so that each one
	// is checked when the profile is loaded.
	keepUnset bool
	err       error
}

func (f *filler) node(v any, path string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = f.node(e, join(path, k))
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for i, e := range v {
			e = f.node(e, path+"["+strconv.Itoa(i)+"]")
			if f.keepUnset || !isUnsetEnv(e, path) {
				out = append(out, e)
			}
		}
		return out
	case string:
		m := anyPlaceholder.FindStringSubmatch(v)
		if m == nil {
			return v
		}
		return f.value(m[1], path)
	}
	return v
}

// value is what stands in a placeholder's place.
func (f *filler) value(name, path string) any {
	var v any = f.in.Port
	if name != portName {
		v = f.in.Params.values[strings.TrimPrefix(name, paramsPrefix)]
	}
	switch placeOf(path) {
	case placeEnv:
		if v == nil && !f.keepUnset {
			return nil // see isUnsetEnv
		}
		return f.text(name, v)
	case placeArgument:
		// One that was not given is empty: the number of arguments stays.
		return f.text(name, v)
	case placeSecret:
		ref, ok := v.(map[string]any)
		switch {
		case !ok && f.keepUnset:
			ref = map[string]any{"name": "unset", "key": "unset"}
		case !ok:
			return nil
		}
		ref = clone(ref).(map[string]any)
		ref["optional"] = true // a missing Secret must not hold up the pod
		return ref
	case placeResources:
		if v == nil {
			return map[string]any{}
		}
		return v
	}
	return v
}

// isUnsetEnv tells an env entry whose value comes from a parameter that was not
// given: it is left out.
func isUnsetEnv(e any, listPath string) bool {
	if !strings.HasSuffix(listPath, ".env") {
		return false
	}
	m, ok := e.(map[string]any)
	if !ok {
		return false
	}
	if v, has := m["value"]; has {
		return v == nil
	}
	from, _ := m["valueFrom"].(map[string]any)
	ref, has := from["secretKeyRef"]
	return has && ref == nil
}

func (f *filler) text(name string, v any) string {
	s, err := asText(v)
	if err != nil {
		f.err = errors.Join(f.err, fmt.Errorf("%s: %w", name, err))
	}
	return s
}
