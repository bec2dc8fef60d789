package policies_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/policies/internal/sandbox"
)

const ownDocsFile = "../docs/rules.md"

func TestTheDocumentationOfOnesOwnRulesShowsEveryFact(t *testing.T) {
	text, err := os.ReadFile(ownDocsFile)
	if err != nil {
		t.Fatal(err)
	}
	want := between(t, string(text), "facts", factTable(t))
	want = between(t, want, "builtins", "`"+strings.Join(sandbox.Builtins(), "`, `")+"`\n")
	if want == string(text) {
		return
	}
	if !*updateGenerated {
		t.Fatalf("%s is stale; run: go test ./policies -run TestTheDocumentation -update", ownDocsFile)
	}
	if err := os.WriteFile(ownDocsFile, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheDocumentedRulePassesItsDocumentedTests(t *testing.T) {
	text, err := os.ReadFile(ownDocsFile)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```rego\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of Rego, want a rule and its test", len(blocks))
	}
	rules, err := policies.CompileOwnRules(t.Context(), policies.RuleFiles{"rule.rego": blocks[0][1], "rule_test.rego": blocks[1][1]})
	if err != nil {
		t.Fatal(err)
	}
	report, err := rules.Test(t.Context())
	if err != nil || report.Err() != nil || len(report.Tests) < 2 {
		t.Errorf("%v, %v, %d tests", err, report.Err(), len(report.Tests))
	}
	for _, c := range report.Coverage {
		if len(c.NotCovered) > 0 {
			t.Errorf("the documented tests do not reach lines %v", c.NotCovered)
		}
	}
}

// factTable describes each key of the document: what the comments in package
// facts say of its values, and in which fields they stand.
func factTable(t *testing.T) string {
	t.Helper()
	about, fields := comments(t), factFields(t)
	for key := range about {
		if !slices.Contains(facts.Keys(), key) {
			t.Errorf("facts.Keys lacks %s", key)
		}
	}
	var b strings.Builder
	b.WriteString("| `input.` | values | fields, below the pod's `spec` |\n|---|---|---|\n")
	for _, key := range facts.Keys() {
		if about[key] == "" {
			t.Errorf("no comment in facts/kind.go or facts/document.go says what %s holds", key)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, strings.ReplaceAll(about[key], "|", "\\|"), strings.Join(fields[key], ", "))
	}
	return b.String()
}

// comments returns the comment behind each constant of package facts that names
// a key.
func comments(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	names := map[string]string{} // of the constants of kinds, in lower case
	for _, kind := range facts.Kinds() {
		names[strings.ToLower(kind.String())] = kind.String()
	}
	for _, file := range []string{"facts/kind.go", "facts/document.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Comment == nil {
				return true
			}
			if key, ok := names[strings.ToLower(spec.Names[0].Name)]; ok {
				found[key] = strings.TrimSpace(spec.Comment.Text())
			}
			if len(spec.Values) == 1 {
				if value, ok := spec.Values[0].(*ast.BasicLit); ok && value.Kind == token.STRING {
					found[strings.Trim(value.Value, `"`)] = strings.TrimSpace(spec.Comment.Text())
				}
			}
			return true
		})
	}
	return found
}

// podWithAllFacts has a value in each field that a fact can stand in.
const podWithAllFacts = `
metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/c: unconfined}}
spec:
  hostNetwork: true
  hostPID: true
  hostIPC: true
  volumes: [{name: v, hostPath: {path: /}}]
  securityContext: &context
    sysctls: [{name: kernel.sem}]
    seLinuxOptions: {type: a, user: a, role: a, level: "s0:c1"}
    appArmorProfile: {type: Unconfined}
    seccompProfile: {type: Unconfined}
    runAsNonRoot: false
    runAsUser: 0
    windowsOptions: {hostProcess: true}
  containers:
  - name: c
    image: registry.example/app:1
    ports: [{hostPort: 80}]
    livenessProbe: {httpGet: {host: a}, tcpSocket: {host: a}}
    readinessProbe: {httpGet: {host: a}, tcpSocket: {host: a}}
    startupProbe: {httpGet: {host: a}, tcpSocket: {host: a}}
    lifecycle: {postStart: {httpGet: {host: a}, tcpSocket: {host: a}}, preStop: {httpGet: {host: a}, tcpSocket: {host: a}}}
    securityContext:
      privileged: true
      allowPrivilegeEscalation: true
      procMount: Unmasked
      capabilities: {add: [SYS_ADMIN], drop: [ALL]}
      seLinuxOptions: {type: a, user: a, role: a, level: "s0:c1"}
      appArmorProfile: {type: Unconfined}
      seccompProfile: {type: Unconfined}
      runAsNonRoot: false
      runAsUser: 0
      windowsOptions: {hostProcess: true}
  - {name: debugsidecar-a}
  - {name: debugsidecar-b, securityContext: {capabilities: {add: [BPF]}}}
`

// factFields asks a rule of one's own that refuses everything where it stands.
func factFields(t *testing.T) map[string][]string {
	t.Helper()
	files := policies.RuleFiles{}
	for _, kind := range facts.Kinds() {
		id := strings.ToLower(kind.String())
		files[id+".rego"] = fmt.Sprintf(`package custom.%[1]s

# METADATA
# title: T
# custom: {id: custom-%[1]s, level: baseline, allowed: nothing, fix: x}
baseline contains ["%[2]s", v] if some v in input.%[2]s
`, id, kind)
	}
	rules, err := policies.CompileOwnRules(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	e := newEvaluator(t)
	e.SetOwnRules(rules)
	result := evaluate(t, e, policies.Request{
		Modes: enforce(policies.Baseline), Pod: podOf(t, podWithAllFacts),
		Reserved: map[string]policies.Identity{"debugsidecar-b": {Ours: true, Capabilities: []corev1.Capability{"BPF"}}},
	})
	fields := map[string][]string{}
	index := regexp.MustCompile(`\[\d+\]`)
	for _, v := range result.Violations {
		for _, kind := range facts.Kinds() {
			if v.Rule != "custom-"+strings.ToLower(kind.String()) {
				continue
			}
			field := "`" + strings.TrimPrefix(index.ReplaceAllString(v.Field, "[*]"), "spec.") + "`"
			field = strings.Replace(strings.Replace(field, "hostPath", "(source)", 1), "beta.kubernetes.io/c]", "beta.kubernetes.io/*]", 1)
			if !slices.Contains(fields[kind.String()], field) {
				fields[kind.String()] = append(fields[kind.String()], field)
			}
		}
	}
	return fields
}
