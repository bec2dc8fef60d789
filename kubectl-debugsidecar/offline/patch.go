package offline

import (
	"bytes"
	"encoding/json"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// patch applies JSON Patch operations to an object and returns the result. A
// pod template may have no metadata, which every pod has: they are added then.
func patch(object map[string]any, ops []inject.Operation) (map[string]any, error) {
	for _, op := range ops {
		if strings.HasPrefix(op.Path, "/metadata/") && object["metadata"] == nil {
			object["metadata"] = map[string]any{}
		}
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	decoded, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		return nil, err
	}
	if data, err = decoded.Apply(data); err != nil {
		return nil, err
	}
	var out map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return out, d.Decode(&out)
}
