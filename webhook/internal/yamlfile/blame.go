package yamlfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"

	kjson "sigs.k8s.io/json"
)

var fieldOf = regexp.MustCompile(`^(?:json: )?((?:unknown|duplicate) field "([^"]+)")`)

// DecodeJSON decodes strictly what was made of text. Each error names the
// text's source and the line of the field.
func DecodeJSON(text Text, data []byte, into any) error {
	strict, err := kjson.UnmarshalStrict(data, into)
	if err != nil {
		path := blame(data, into, err)
		if path == "" {
			return fmt.Errorf("%s: %s", text.At(""), explain(err))
		}
		return fmt.Errorf("%s: %s: %s", text.At(path), path, explain(err))
	}
	var errs []error
	for _, err := range strict {
		if m := fieldOf.FindStringSubmatch(err.Error()); m != nil {
			err = fmt.Errorf("%s: %s", text.At(m[2]), m[1])
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// explain says in a user's words what a decoder could not do.
func explain(err error) string {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return "can't be a value of type " + mismatch.Value
	}
	return err.Error()
}

// blame finds the deepest node without which the error would not be: a decoder
// names neither list indexes nor, for its own types, any path.
func blame(data []byte, into any, err error) string {
	var root any
	if json.Unmarshal(data, &root) != nil {
		return ""
	}
	kind := reflect.TypeOf(into).Elem()
	without := func() bool { // decodes root as it is now
		b, marshalErr := json.Marshal(root)
		if marshalErr != nil {
			return false
		}
		_, got := kjson.UnmarshalStrict(b, reflect.New(kind).Interface())
		return got == nil || got.Error() != err.Error()
	}
	guilty := ""
	var search func(v any, path string) bool
	search = func(v any, path string) bool {
		found := false
		try := func(child any, at string, set func(any)) {
			if found {
				return
			}
			set(nil)
			gone := without()
			set(child)
			if gone {
				found, guilty = true, at
				search(child, at)
			}
		}
		switch v := v.(type) {
		case map[string]any:
			for key, child := range v {
				at := key
				if path != "" {
					at = path + "." + key
				}
				try(child, at, func(c any) { v[key] = c })
			}
		case []any:
			for i, child := range v {
				try(child, path+"["+strconv.Itoa(i)+"]", func(c any) { v[i] = c })
			}
		}
		return found
	}
	search(root, "")
	return guilty
}
