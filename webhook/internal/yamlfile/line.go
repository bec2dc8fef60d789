package yamlfile

import (
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
)

// line returns the line of text, counted from 1, where the node of path stands,
// or that of its nearest parent. Path is like containers[0].image.
func line(text, path string) int {
	root := parse(text)
	if root == nil {
		return 1
	}
	n, found := root, root.Line
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		for n.Kind == yamlv3.AliasNode {
			n = n.Alias
		}
		var at *yamlv3.Node
		if at, n = child(n, step); at == nil {
			break
		}
		found = at.Line
	}
	return found
}

// TextLine returns the line in which the text of the scalar at path starts: for
// a block scalar the line after its indicator.
func TextLine(text string, path ...string) int {
	n := parse(text)
	for _, key := range path {
		if n == nil {
			return 1
		}
		_, n = child(n, key)
	}
	switch {
	case n == nil:
		return 1
	case n.Style&(yamlv3.LiteralStyle|yamlv3.FoldedStyle) != 0:
		return n.Line + 1
	}
	return n.Line
}

func parse(text string) *yamlv3.Node {
	var doc yamlv3.Node
	if err := yamlv3.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// child returns the node that step leads to, and the one to point at: the key of
// a mapping's entry, the item of a list.
func child(n *yamlv3.Node, step string) (at, value *yamlv3.Node) {
	switch n.Kind {
	case yamlv3.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	case yamlv3.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i], n.Content[i+1]
			}
		}
	}
	return nil, nil
}
