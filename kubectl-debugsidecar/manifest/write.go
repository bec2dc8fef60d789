package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// WriteYAML writes documents as one YAML stream. Those that were YAML and did
// not change are written as they stood, comments and all.
func WriteYAML(w io.Writer, docs []*Document) error {
	var out bytes.Buffer
	for _, d := range docs {
		text, marked, err := d.yaml()
		if err != nil {
			return err
		}
		if out.Len() > 0 && out.Bytes()[out.Len()-1] != '\n' {
			out.WriteByte('\n')
		}
		if out.Len() > 0 && !marked {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// yaml returns the document's text, and whether it begins with a marker.
func (d *Document) yaml() (text []byte, marked bool, err error) {
	head := d.text.head
	marked = len(head) > 0 || bytes.HasPrefix(d.text.body, []byte("---"))
	if !d.Changed && !d.isJSON {
		return bytes.Join([][]byte{head, d.text.body, d.text.tail}, nil), marked, nil
	}
	data, err := marshal(d.Root)
	if err != nil {
		return nil, false, fmt.Errorf("%s: writing it: %w", d.At(), err)
	}
	body, err := yaml.JSONToYAML(data)
	if err != nil {
		return nil, false, fmt.Errorf("%s: writing it as YAML: %w", d.At(), err)
	}
	if marked && len(head) == 0 {
		head = []byte("---\n")
	}
	return bytes.Join([][]byte{head, body, d.text.tail}, nil), marked, nil
}

// WriteJSON writes each document that has content as indented JSON.
func WriteJSON(w io.Writer, docs []*Document) error {
	var out bytes.Buffer
	for _, d := range docs {
		if d.Root == nil {
			continue
		}
		data, err := marshal(d.Root)
		if err != nil {
			return fmt.Errorf("%s: writing it: %w", d.At(), err)
		}
		if err := json.Indent(&out, data, "", "    "); err != nil {
			return fmt.Errorf("%s: writing it: %w", d.At(), err)
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// marshal encodes without the escapes that are for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
