package sandbox

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// allowed are the built-ins that rules may call, beside operators. Each is a
// function of its operands, takes time and memory in proportion to them, and
// gives no more than they hold: concat, sprintf or array.concat could double a
// value forty times in a row, and so could a multiplication double a number's
// digits; numbers.range and bits.lsh fill the memory in a single step that nothing
// cancels. glob.match is left out because it tracks back; regex.match does not.
var allowed = []string{
	// Operators and what the compiler makes of keywords.
	"assign", "eq", "equal", "neq", "gt", "gte", "lt", "lte", "and", "or", "minus", "plus", "div", "rem",
	"internal.member_2", "internal.member_3", "internal.test_case",

	"abs", "ceil", "floor", "round", "to_number",
	"count", "max", "min", "sort", "sum", "intersection", "union",
	"array.reverse", "array.slice", "object.get", "object.keys", "object.remove", "object.subset",
	"contains", "endswith", "indexof", "lower", "split", "startswith", "strings.any_prefix_match", "strings.any_suffix_match",
	"strings.count", "strings.reverse", "substring", "trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper",
	"regex.is_valid", "regex.match",
	"semver.compare", "semver.is_valid",
	"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name",
}

// Builtins returns the names of the built-ins that rules may call, in order,
// without those that stand behind operators and keywords.
func Builtins() []string {
	var names []string
	for _, name := range allowed {
		b := ast.BuiltinMap[name]
		if b.Infix == "" && !isInternal(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func isInternal(name string) bool {
	return len(name) > 9 && name[:9] == "internal." || name == "assign" || name == "eq"
}

// capabilities are OPA's own with nothing but the allowed built-ins.
func capabilities() *ast.Capabilities {
	all := ast.CapabilitiesForThisVersion()
	all.Builtins = slices.DeleteFunc(slices.Clone(all.Builtins), func(b *ast.Builtin) bool { return !slices.Contains(allowed, b.Name) })
	all.AllowNet = []string{}
	return all
}
