package admit

import (
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// encodePatch writes JSON Patch operations. Their values are JSON already, and
// their paths are plain ASCII without quotes or backslashes (they are made of
// field names, indexes and our annotation's key), so nothing has to be parsed
// or escaped again; encoding/json would do both.
func encodePatch(ops []inject.Operation) []byte {
	size := 2
	for _, op := range ops {
		size += len(op.Path) + len(op.Value) + 48
	}
	b := append(make([]byte, 0, size), '[')
	for i, op := range ops {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"op":"`...)
		b = append(b, op.Op...)
		b = append(b, `","path":"`...)
		b = append(b, op.Path...)
		b = append(b, '"')
		if op.Value != nil {
			b = append(b, `,"value":`...)
			b = append(b, op.Value...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}
