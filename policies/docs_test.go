package policies_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/policies"
)

var updateGenerated = flag.Bool("update", false, "write the generated parts of the documentation, and the golden files")

const docsFile = "../docs/policies.md"

func TestTheDocumentationShowsTheRulesAndParameters(t *testing.T) {
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	want := between(t, string(text), "rules", ruleTable(t))
	want = between(t, want, "parameters", "```yaml\n"+policies.DefaultParameters()+"```\n")
	if want == string(text) {
		return
	}
	if !*updateGenerated {
		t.Fatalf("%s is stale; run: go test ./policies -run TestTheDocumentation -update", docsFile)
	}
	if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheDocumentedExampleParses(t *testing.T) {
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d blocks of YAML, want the defaults and an example", len(blocks))
	}
	for _, block := range blocks {
		if _, err := policies.ParseParameters([]byte(block[1])); err != nil {
			t.Error(err)
		}
	}
}

func TestTheDocumentedDenialIsWhatEvaluateSays(t *testing.T) {
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	pod := podOf(t, `spec: {containers: [{name: rtsp, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}`)
	v := evaluate(t, newEvaluator(t), policies.Request{Modes: enforce(policies.Baseline), Pod: pod}).Violations[0]
	if !strings.Contains(string(text), "    "+v.Message+"; to pass: "+v.Fix+"\n") {
		t.Errorf("%s shows another denial than\n%s; to pass: %s", docsFile, v.Message, v.Fix)
	}
}

// between replaces what stands between the markers of a generated part.
func between(t *testing.T, text, part, content string) string {
	t.Helper()
	marked := regexp.MustCompile(`(?s)(<!-- ` + part + `:[^\n]*-->\n).*?(<!-- /` + part + ` -->)`)
	if !marked.MatchString(text) {
		t.Fatalf("%s has no marks for its %s", docsFile, part)
	}
	return marked.ReplaceAllStringFunc(text, func(old string) string {
		marks := marked.FindStringSubmatch(old)
		return marks[1] + content + marks[2]
	})
}

func ruleTable(t *testing.T) string {
	t.Helper()
	rules, err := policies.Rules()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| rule | about | level | parameters | Pod Security checks |\n|---|---|---|---|---|\n")
	for _, rule := range rules {
		level := string(rule.Level)
		if rule.Tightens {
			level += ", stricter at restricted"
		}
		fmt.Fprintf(&b, "| [`%s`](../policies/%s) | %s | %s | %s | %s |\n",
			rule.ID, rule.File, rule.Title, level, code(rule.Parameters), code(rule.Checks))
	}
	return b.String()
}

func code(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = "`" + name + "`"
	}
	return strings.Join(quoted, ", ")
}
