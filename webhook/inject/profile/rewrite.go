package profile

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
)

// What a template's actions may say.
var (
	allowedFields    = []string{"tier", "placement"} // and the settings
	allowedFunctions = []string{"eq", "ne", "and", "or", "not"}
)

// rewrite changes the template's tree, as html/template does: each action gives
// JSON, which is YAML whatever it holds, and a parameter gives its placeholder.
func (t template) rewrite(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
		case *parse.ActionNode:
			if err := t.rewriteAction(n); err != nil {
				return err
			}
		case *parse.IfNode:
			if err := t.checkPipe(n.Pipe, n.Line); err != nil {
				return err
			}
			if err := t.rewrite(n.List); err != nil {
				return err
			}
			if err := t.rewrite(n.ElseList); err != nil {
				return err
			}
			keepLines(n)
		default:
			return t.errorAt(t.lineOf(n), "%s is not allowed in a profile: only values and if", firstWords(n))
		}
	}
	return nil
}

// rewriteAction turns {{ .params.x }} into its placeholder and every other
// action into JSON.
func (t template) rewriteAction(n *parse.ActionNode) error {
	if name, ok := placeholderOf(n.Pipe); ok {
		n.Pipe.Cmds = []*parse.CommandNode{call(n.Pipe, "placeholder", &parse.StringNode{
			NodeType: parse.NodeString, Pos: n.Pos, Quoted: strconv.Quote(name), Text: name,
		})}
		return nil
	}
	if err := t.checkPipe(n.Pipe, n.Line); err != nil {
		return err
	}
	n.Pipe.Cmds = append(n.Pipe.Cmds, call(n.Pipe, "json"))
	return nil
}

func call(pipe *parse.PipeNode, name string, args ...parse.Node) *parse.CommandNode {
	f := parse.NewIdentifier(name).SetPos(pipe.Pos)
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pipe.Pos, Args: append([]parse.Node{f}, args...)}
}

// placeholderOf tells the parameter, or the port, that a pipeline consists of.
func placeholderOf(pipe *parse.PipeNode) (string, bool) {
	if len(pipe.Decl) > 0 || len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return "", false
	}
	f, ok := pipe.Cmds[0].Args[0].(*parse.FieldNode)
	switch {
	case !ok:
		return "", false
	case len(f.Ident) == 2 && f.Ident[0] == "params":
		return paramsPrefix + f.Ident[1], true
	case len(f.Ident) == 1 && f.Ident[0] == portName:
		return portName, true
	}
	return "", false
}

// checkPipe allows functions of the tier, the placement and the settings only.
func (t template) checkPipe(pipe *parse.PipeNode, line int) error {
	if len(pipe.Decl) > 0 {
		return t.errorAt(line, "variables are not allowed in a profile")
	}
	for _, cmd := range pipe.Cmds {
		for _, arg := range cmd.Args {
			switch arg := arg.(type) {
			case *parse.FieldNode:
				if err := t.checkField(arg.Ident, line); err != nil {
					return err
				}
			case *parse.IdentifierNode:
				if !slices.Contains(allowedFunctions, arg.Ident) {
					return t.errorAt(line, "function %q is not allowed in a profile: only eq, ne, and, or, not", arg.Ident)
				}
			case *parse.PipeNode:
				if err := t.checkPipe(arg, line); err != nil {
					return err
				}
			case *parse.StringNode, *parse.BoolNode, *parse.NumberNode:
			default:
				return t.errorAt(line, "%s can't be used here: name .tier, .placement, .images.NAME, .alerts.NAME, .port or .params.NAME", arg)
			}
		}
	}
	return nil
}

// checkField allows the tier, the placement and one setting. A setting's name is
// checked also where the if around it is not true now.
func (t template) checkField(path []string, line int) error {
	shown := strings.Join(path, ".")
	if values, ok := t.settings[path[0]]; ok {
		if len(path) == 2 {
			if _, ok := values[path[1]]; ok {
				return nil
			}
		}
		names := slices.Sorted(maps.Keys(values))
		return t.errorAt(line, "there is no .%s, only .%s.NAME with the names %s", shown, path[0], strings.Join(names, ", "))
	}
	if !slices.Contains(allowedFields, path[0]) {
		return t.errorAt(line, ".%s can't be used here: a parameter stands alone, as {{ .params.NAME }}, and decides nothing", shown)
	}
	return nil
}

// keepLines makes both branches equally long, so that a line of what is
// rendered is the same line of the template.
func keepLines(n *parse.IfNode) {
	taken, other := newlines(n.List), newlines(n.ElseList)
	if n.ElseList == nil {
		n.ElseList = &parse.ListNode{NodeType: parse.NodeList, Pos: n.Pos}
	}
	n.List.Nodes = append(n.List.Nodes, blank(n.Pos, other))
	n.ElseList.Nodes = append([]parse.Node{blank(n.Pos, taken)}, n.ElseList.Nodes...)
}

func blank(pos parse.Pos, lines int) *parse.TextNode {
	return &parse.TextNode{NodeType: parse.NodeText, Pos: pos, Text: []byte(strings.Repeat("\n", lines))}
}

func newlines(list *parse.ListNode) int {
	if list == nil {
		return 0
	}
	n := 0
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.TextNode:
			n += strings.Count(string(node.Text), "\n")
		case *parse.IfNode: // keepLines made its branches equal
			n += newlines(node.List)
		}
	}
	return n
}

func (t template) lineOf(n parse.Node) int {
	pos := min(int(n.Position()), len(t.text))
	return 1 + strings.Count(t.text[:pos], "\n")
}

func firstWords(n parse.Node) string {
	s, _, _ := strings.Cut(n.String(), "}}")
	return strings.TrimPrefix(s, "{{")
}
