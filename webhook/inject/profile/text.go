package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// asText gives a parameter as an argument or an env value: text as it is, a
// list joined by commas, an object as JSON. The kubelet expands $(NAME) in it,
// so a dollar is doubled: what a parameter says is taken literally.
func asText(v any) (string, error) {
	var s string
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		s = v
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			part, err := plain(e)
			if err != nil {
				return "", err
			}
			parts[i] = part
		}
		s = strings.Join(parts, ",")
	default:
		var err error
		if s, err = plain(v); err != nil {
			return "", err
		}
	}
	return strings.ReplaceAll(s, "$", "$$"), nil
}

func plain(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encoding: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
