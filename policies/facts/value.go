package facts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Value is one value of a fact. Values compare with ==.
type Value struct {
	sort   sort
	number int64
	text   string // a string, or the sorted members of a list, each with its length
}

type sort uint8

const (
	null sort = iota
	boolean
	number
	text
	list
)

func boolValue(b bool) Value {
	if b {
		return Value{sort: boolean, number: 1}
	}
	return Value{sort: boolean}
}

func numberValue(n int64) Value  { return Value{sort: number, number: n} }
func stringValue(s string) Value { return Value{sort: text, text: s} }
func optional(b *bool) Value {
	if b == nil {
		return Value{}
	}
	return boolValue(*b)
}

// listValue is the set of the given names; order and repetition don't count.
func listValue[S ~string](names []S) Value {
	switch len(names) {
	case 0:
		return Value{sort: list}
	case 1:
		return Value{sort: list, text: strconv.Itoa(len(names[0])) + ":" + string(names[0])}
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	var b strings.Builder
	for _, name := range slices.Compact(sorted) {
		// With its length, since a name may hold any byte that could divide them.
		b.WriteString(strconv.Itoa(len(name)))
		b.WriteByte(':')
		b.WriteString(string(name))
	}
	return Value{sort: list, text: b.String()}
}

// ValueOf returns the value that a rule gave back.
func ValueOf(t *ast.Term) (Value, error) {
	switch v := t.Value.(type) {
	case ast.Null:
		return Value{}, nil
	case ast.Boolean:
		return boolValue(bool(v)), nil
	case ast.String:
		return stringValue(string(v)), nil
	case ast.Number:
		n, ok := v.Int64()
		if !ok {
			return Value{}, fmt.Errorf("the number %s is not an integer", v)
		}
		return numberValue(n), nil
	case ast.Set:
		names := make([]string, 0, v.Len())
		for _, member := range v.Slice() {
			name, ok := member.Value.(ast.String)
			if !ok {
				return Value{}, fmt.Errorf("the set %s holds something other than strings", v)
			}
			names = append(names, string(name))
		}
		return listValue(names), nil
	}
	return Value{}, fmt.Errorf("%s is no value of a fact", t)
}

// Names returns what a message lists of the value: nothing where it is null,
// the members of a list, and else the value itself, strings in quotes.
func (v Value) Names() []string {
	switch v.sort {
	case boolean:
		return []string{strconv.FormatBool(v.number == 1)}
	case number:
		return []string{strconv.FormatInt(v.number, 10)}
	case text:
		return []string{strconv.Quote(v.text)}
	case list:
		var names []string
		for _, name := range v.members() {
			names = append(names, strconv.Quote(name))
		}
		return names
	}
	return nil
}

func (v Value) members() []string {
	var names []string
	for rest := v.text; rest != ""; {
		length, after, _ := strings.Cut(rest, ":")
		n, _ := strconv.Atoi(length)
		names = append(names, after[:n])
		rest = after[n:]
	}
	return names
}

func (v Value) term() *ast.Term {
	switch v.sort {
	case boolean:
		return ast.InternedTerm(v.number == 1)
	case number:
		return ast.InternedTerm(int(v.number))
	case text:
		if t, ok := commonStrings[v.text]; ok {
			return t
		}
		return ast.StringTerm(v.text)
	case list:
		members := v.members()
		terms := make([]*ast.Term, len(members))
		for i, m := range members {
			terms[i] = stringValue(m).term()
		}
		return ast.SetTerm(terms...)
	}
	return ast.NullTerm()
}

// Text returns the string that the value is, empty if it is none.
func (v Value) Text() string {
	if v.sort == text {
		return v.text
	}
	return ""
}
