package inject

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Operation is a JSON Patch operation (RFC 6902).
type Operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

func (d *Decision) op(op, path string, value json.RawMessage) {
	d.patch = append(d.patch, Operation{Op: op, Path: path, Value: value})
}

// editList drops entries of the list of n at path, and adds values at its end.
// Drop may be nil: then all stay. A list that ends up empty is removed.
func (d *Decision) editList(path string, n int, drop func(i int) bool, values []json.RawMessage) {
	dropped := 0
	for i := 0; drop != nil && i < n; i++ {
		if drop(i) {
			dropped++
		}
	}
	switch {
	case dropped == n && len(values) > 0:
		d.op("add", path, array(values)) // replaces what is there
		return
	case dropped == n && n > 0:
		d.op("remove", path, nil)
		return
	}
	for i := n - 1; i >= 0 && dropped > 0; i-- { // from the end: indexes stay valid
		if drop(i) {
			d.op("remove", path+"/"+strconv.Itoa(i), nil)
		}
	}
	for _, v := range values {
		d.op("add", path+"/-", v)
	}
}

func array(values []json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(v)
	}
	b.WriteByte(']')
	return b.Bytes()
}
