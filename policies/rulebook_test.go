package policies

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

func TestABrokenRuleIsRefusedWhenItIsRead(t *testing.T) {
	const good = `
# METADATA
# title: T
# custom: {id: a, level: baseline, checks: [], allowed: x, fix: y}
`
	for text, want := range map[string]string{
		"baseline contains [\"privileged\", true] if input.privileged[true]":                                                                                "want one block of metadata, have 0",
		good + "restricted contains [\"privileged\", true] if input.privileged[true]":                                                                       `the metadata's level "baseline" differs from the rule's level "restricted"`,
		good + "baseline contains [\"priviledged\", true] if input.privileged[true]":                                                                        `"priviledged" is no kind of fact`,
		good + "baseline contains input.kind if input.privileged[true]":                                                                                     "the head must be [kind, value] with a constant kind",
		good + "baseline contains [\"hostPorts\", 1] if true\n" + good + "baseline contains [\"hostPorts\", 2] if true":                                     "a.rego:11: the rule a judges hostPorts at baseline as well",
		good + "baseline contains [\"hostPorts\", 1] if true\n" + strings.Replace(good, "id: a", "id: b", 1) + "baseline contains [\"sysctls\", 2] if true": `the id "b" differs from the file's id "a"`,
		strings.Replace(good, "allowed: x, ", "", 1) + "baseline contains [\"hostPorts\", 1] if true":                                                       "the metadata have no allowed",
		strings.Replace(good, "title: T", "", 1) + "baseline contains [\"hostPorts\", 1] if true":                                                           "the metadata have no title",
		good + "basline contains [\"hostPorts\", 1] if true":                                                                                                "basline has the metadata of a rule, whose name has to be baseline or restricted",
		"baseline.x contains [\"hostPorts\", 1] if true":                                                                                                    "the head must be [kind, value]",
		"helper := 1": "no rule of the level baseline or restricted",
	} {
		module, err := ast.ParseModuleWithOpts("a.rego", "package policies\n"+text, ast.ParserOptions{ProcessAnnotation: true})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		book := &rulebook{clauses: map[clauseKey]*clause{}, replaced: map[string]bool{}}
		if err := book.addModule("a.rego", module); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nthe error is %v, want %q", text, err, want)
		}
	}
}
