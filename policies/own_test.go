package policies

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// noNFS is a rule of one's own, as an administrator would write it.
const noNFS = `package custom.no_nfs

# METADATA
# title: No NFS volumes
# custom:
#   id: custom-no-nfs
#   level: baseline
#   has: is a volume of type {values}
#   allowed: no volumes of type nfs
#   fix: replace {field} by a persistentVolumeClaim
baseline contains ["volumeTypes", "nfs"] if input.volumeTypes.nfs
`

const noNFSTest = `package no_nfs_test

import data.custom.no_nfs

test_nfs_is_refused if no_nfs.baseline == {["volumeTypes", "nfs"]} with input as {"volumeTypes": {"nfs", "emptyDir"}}

test_others_pass if no_nfs.baseline == set() with input as {"volumeTypes": {"emptyDir"}}
`

// rule returns a rule with the id custom-NAME.
func rule(name, level, body string) string {
	return fmt.Sprintf(`package custom.%[1]s

# METADATA
# title: T
# custom: {id: custom-%[1]s, level: %[2]s, allowed: "only what {values} is not", fix: "remove {values} from {field}"}
%[2]s %[3]s
`, name, level, body)
}

func compileOwn(t testing.TB, files ...string) *OwnRules {
	t.Helper()
	all := RuleFiles{}
	for i, text := range files {
		all[fmt.Sprintf("%d.rego", i)] = text
	}
	own, err := CompileOwnRules(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func ownEvaluator(t testing.TB, files ...string) *Evaluator {
	t.Helper()
	e, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := compileOwn(t, files...)
	// However busy the machine is, what ends in time does so here.
	own.time, own.timeForAll = time.Minute, time.Minute
	e.SetOwnRules(own)
	return e
}

func ownPod(t testing.TB, spec string) *facts.Pod {
	t.Helper()
	pod := &facts.Pod{}
	if err := yaml.Unmarshal([]byte("spec: "+spec), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

const nfsPod = `{volumes: [{name: a, emptyDir: {}}, {name: b, nfs: {server: a, path: /}}], containers: [{name: c}]}`

func all(level Level) Modes { return Modes{Enforce: level} }

func TestARuleOfOnesOwnReadsAsAShippedOne(t *testing.T) {
	e := ownEvaluator(t, noNFS)
	result, err := e.Evaluate(t.Context(), Request{Modes: all(Baseline), Pod: ownPod(t, nfsPod), FieldPath: "spec.template.spec"})
	want := Violation{
		Rule: "custom-no-nfs", Field: "spec.template.spec.volumes[1].nfs", Level: Baseline, Action: Deny,
		Message: `pod: spec.template.spec.volumes[1].nfs is a volume of type "nfs"; rule custom-no-nfs (baseline) allows no volumes of type nfs`,
		Fix:     "replace spec.template.spec.volumes[1].nfs by a persistentVolumeClaim",
	}
	if err != nil || len(result.Violations) != 1 || !reflect.DeepEqual(result.Violations[0], want) {
		t.Errorf("got %+v, %v, want\n%+v", result.Violations, err, want)
	}
	for _, level := range []Level{Off, Restricted} {
		result, err := e.Evaluate(t.Context(), Request{Modes: all(level), Pod: ownPod(t, nfsPod)})
		found := strings.Count(fmt.Sprint(result.Violations), "custom-no-nfs (")
		if err != nil || (found == 1) != (level == Restricted) {
			t.Errorf("at %s: %+v, %v", level, result.Violations, err)
		}
	}
	e.SetOwnRules(nil)
	if result, err := e.Evaluate(t.Context(), Request{Modes: all(Baseline), Pod: ownPod(t, nfsPod)}); err != nil || len(result.Violations) != 0 {
		t.Errorf("without the rules: %+v, %v", result, err)
	}
}

func TestAllModesHoldForOnesOwnRules(t *testing.T) {
	e := ownEvaluator(t, noNFS, rule("strict", "restricted", `contains ["volumeTypes", "nfs"] if input.volumeTypes.nfs`))
	for _, c := range []struct {
		modes      Modes
		parameters string
		want       string
	}{
		{Modes{Enforce: Baseline}, "", "custom-no-nfs:deny"},
		{Modes{Warn: Baseline}, "", "custom-no-nfs:warn"},
		{Modes{Audit: Baseline}, "", "custom-no-nfs:audit"},
		{Modes{Enforce: Baseline, Warn: Restricted}, "", "custom-no-nfs:deny custom-strict:warn"},
		{Modes{Enforce: Restricted}, "{rules: {custom-no-nfs: {mode: warn}, custom-strict: {mode: audit}}}", "custom-no-nfs:warn custom-strict:audit"},
		{Modes{Enforce: Restricted}, "{rules: {custom-no-nfs: {mode: \"off\"}, custom-strict: {mode: enforce}}}", "custom-strict:deny"},
		{Modes{Enforce: Baseline}, "{namespaces: {a: {rules: {custom-no-nfs: {mode: warn}}}}}", "custom-no-nfs:warn"},
	} {
		p, err := ParseParameters([]byte(c.parameters), "custom-no-nfs", "custom-strict")
		if err != nil {
			t.Fatal(err)
		}
		e.SetParameters(p)
		result, err := e.Evaluate(t.Context(), Request{Namespace: "a", Modes: c.modes, Pod: ownPod(t, nfsPod)})
		var got []string
		for _, v := range result.Violations {
			if strings.HasPrefix(v.Rule, "custom-") {
				got = append(got, v.Rule+":"+string(v.Action))
			}
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%+v %s: got %v, %v, want %s", c.modes, c.parameters, got, err, c.want)
		}
	}
	if _, err := ParseParameters([]byte("{rules: {custom-no-nfs: {mode: warn}}}")); err == nil || !strings.Contains(err.Error(), "unknown rule") {
		t.Errorf("the mode of a rule that there isn't: %v", err)
	}
}

func TestAnUpdateIsDeniedOnlyForWhatItAdds(t *testing.T) {
	e := ownEvaluator(t, noNFS, rule("hosts", "baseline", `contains ["hostPorts", p] if some p in input.hostPorts`))
	before := ownPod(t, nfsPod)
	after := ownPod(t, strings.Replace(nfsPod, "{name: c}", "{name: c, ports: [{hostPort: 80}]}", 1))
	result, err := e.Evaluate(t.Context(), Request{Modes: all(Baseline), Pod: after, Old: before})
	got := map[string]Action{}
	for _, v := range result.Violations {
		got[v.Rule] = v.Action
	}
	if err != nil || got["custom-no-nfs"] != Warn || got["custom-hosts"] != Deny {
		t.Errorf("got %v, %v, want a warning for what was there and a denial for what is new", got, err)
	}
	if result, err := e.Evaluate(t.Context(), Request{Modes: all(Baseline), Pod: after, Old: after}); err != nil || len(result.Violations) != 0 {
		t.Errorf("nothing changes: got %+v, %v", result, err)
	}
}

// Whatever one's own rules say, the shipped ones refuse what they did.
func TestShippedRulesStayAsTheyAre(t *testing.T) {
	plain, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := ownEvaluator(t, noNFS, rule("privileged", "baseline", `contains ["privileged", x] if { some x in input.privileged; false }`))
	pod := ownPod(t, `{hostNetwork: true, volumes: [{name: a, hostPath: {path: /}}], containers: [{name: c, securityContext: {privileged: true}}]}`)
	for _, level := range []Level{Baseline, Restricted} {
		r := Request{Modes: all(level), Pod: pod}
		want, err := plain.Evaluate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := own.Evaluate(t.Context(), r); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("at %s: got %+v, %v, want %+v", level, got, err, want)
		}
	}
}

func TestOnesOwnRulesAreRefusedWithFileAndLine(t *testing.T) {
	good := rule("a", "baseline", `contains ["hostPorts", p] if some p in input.hostPorts`)
	body := func(text string) string {
		return rule("a", "baseline", `contains ["hostPorts", p] if { some p in input.hostPorts; `+text+" }")
	}
	for name, c := range map[string]struct{ text, want string }{
		"the shipped rules' package":   {strings.Replace(good, "custom.a", "policies", 1), "a.rego:1: the package has to be custom.NAME"},
		"below the shipped ones":       {strings.Replace(good, "custom.a", "policies.a", 1), "a.rego:1: the package has to be custom.NAME"},
		"no package of its own":        {strings.Replace(good, "custom.a", "custom", 1), "a.rego:1: the package has to be custom.NAME"},
		"a package too deep":           {strings.Replace(good, "custom.a", "custom.a.b", 1), "a.rego:1: the package of a rule has to be custom.NAME"},
		"a test in the wrong file":     {strings.Replace(good, "custom.a", "custom.a_test", 1), "_test.rego"},
		"the shipped rules' data":      {body("data.policies.baseline"), "a.rego:6: data.policies.baseline: there is no data but that of the rules"},
		"all data":                     {body("count(data) > 0"), "a.rego:6: rule data.custom.a.baseline is recursive"},
		"external data":                {body("p in data.ports"), "there is no data but"},
		"an imported package":          {strings.Replace(body("x.baseline"), "\n\n", "\n\nimport data.policies as x\n", 1), "data.policies.baseline: there is no data but"},
		"a misspelt fact":              {body("input.hostPort"), "a.rego:6: there is no input.hostPort; there are allowPrivilegeEscalation"},
		"any fact":                     {body("some k; input[k]"), "name the fact"},
		"the whole input":              {body("count(input) > 0"), "a.rego:6: name the fact"},
		"a parameter that there isn't": {body("input.parameters.hostPorts.allowd"), "a.rego:6: there is no input.parameters.hostPorts.allowd"},
		"all parameters":               {body("input.parameters"), "name the parameter"},
		"with":                         {body("count(input.hostPorts) > 0 with data.policies as {}"), "a.rego:6: with may replace input alone"},
		"a shipped rule's id":          {strings.Replace(good, "custom-a", "privileged", 1), `a.rego: the id "privileged" has to be custom-`},
		"a reserved id":                {strings.Replace(good, "custom-a", "custom-rules", 1), "has to be custom-"},
		"an id with a newline":         {strings.Replace(good, "custom-a", `"custom-a\nb"`, 1), "has to be custom-"},
		"no rule":                      {"package custom.a\n\nx := 1", "a.rego: no rule of the level baseline or restricted"},
		"a fact that can't be":         {rule("a", "baseline", `contains ["hostPort", p] if some p in input.hostPorts`), `a.rego:6: "hostPort" is no kind of fact`},
		"no metadata":                  {"package custom.a\n\nbaseline contains [\"hostPorts\", 1] if true", "a.rego:3: want one block of metadata"},
		"metadata without a fix":       {strings.Replace(good, "fix:", "fox:", 1), "a.rego:6: the metadata have no fix"},
		"another level":                {strings.Replace(good, "level: baseline", "level: restricted", 1), `a.rego:6: the metadata's level "restricted" differs`},
		"a call outside":               {body(`http.send({"url": "http://a", "method": "get"})`), "a.rego:6: http.send is not allowed"},
		"a variable nobody uses":       {body("x := 1"), "a.rego:6: assigned var x unused"},
		"recursion":                    {good + "f(x) := f(x)\n", "a.rego:7: rule data.custom.a.f is recursive"},
		"no Rego":                      {"apiVersion: v1", "a.rego:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := CompileOwnRules(t.Context(), RuleFiles{"a.rego": c.text}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s\n%v\nwant %q", c.text, err, c.want)
			}
		})
	}
	for name, files := range map[string]RuleFiles{
		"b.rego:1: custom.a is the package of a.rego already": {"a.rego": good, "b.rego": good},
		"b.rego: the id custom-a is that of a.rego already":   {"a.rego": good, "b.rego": strings.Replace(good, "custom.a", "custom.b", 1)},
		"a_test.rego:1: the package of a test has to end in _test": {
			"a.rego": good, "a_test.rego": "package custom.a\n\ntest_it if true"},
	} {
		if _, err := CompileOwnRules(t.Context(), files); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
	many := RuleFiles{}
	for i := range maxOwnRules + 1 {
		many[fmt.Sprintf("%d.rego", i)] = strings.Replace(strings.Replace(good, "custom.a", fmt.Sprintf("custom.a%d", i), 1), "custom-a", fmt.Sprintf("custom-a%d", i), 1)
	}
	if _, err := CompileOwnRules(t.Context(), many); err == nil || !strings.Contains(err.Error(), "65 rules are more than the 64") {
		t.Errorf("got %v, want that there are too many", err)
	}
	// All mistakes are told at once.
	_, err := CompileOwnRules(t.Context(), RuleFiles{"a.rego": "package x", "b.rego": "package y"})
	if err == nil || !strings.Contains(err.Error(), "a.rego:1: ") || !strings.Contains(err.Error(), "b.rego:1: ") {
		t.Errorf("got %v, want both mistakes", err)
	}
}

func TestRulesMayShareALibrary(t *testing.T) {
	e := ownEvaluator(t, "package custom.lib\n\nlow(p) if p < 1024\n", `package custom.low_ports

import data.custom.lib
import input.hostPorts as ports

# METADATA
# title: Low ports
# custom: {id: custom-low-ports, level: baseline, allowed: ports from 1024 on, fix: "remove {field}"}
baseline contains ["hostPorts", p] if {
	some p in ports
	lib.low(p)
}
`)
	result, err := e.Evaluate(t.Context(), Request{Modes: all(Baseline), Pod: ownPod(t, `{containers: [{name: c, ports: [{hostPort: 80}, {hostPort: 8080}]}]}`)})
	var fields []string
	for _, v := range result.Violations {
		if v.Rule == "custom-low-ports" {
			fields = append(fields, v.Container+" "+v.Field)
		}
	}
	if err != nil || fmt.Sprint(fields) != "[c spec.containers[0].ports[0].hostPort]" {
		t.Errorf("got %v, %v", fields, err)
	}
}

func TestTheirTestsAreRun(t *testing.T) {
	own, err := CompileOwnRules(t.Context(), RuleFiles{"no_nfs.rego": noNFS, "no_nfs_test.rego": noNFSTest})
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Check(t.Context()); err != nil {
		t.Error(err)
	}
	report, err := own.Test(t.Context())
	if err != nil || len(report.Tests) != 2 || len(report.Coverage) != 1 || report.Coverage[0].Percent() != 100 || report.Coverage[0].Covered == 0 {
		t.Errorf("got %+v, %v", report, err)
	}
	for name, c := range map[string]struct{ test, want string }{
		"a test that fails": {
			strings.Replace(noNFSTest, "set()", `{["volumeTypes", "nfs"]}`, 1),
			"no_nfs_test.rego:7: the test test_others_pass fails",
		},
		"a test that never ends": {
			noNFSTest + `
test_slow if {
	n := {[a, b] | some a in [1, 2, 3, 4, 5, 6, 7, 8, 9]; some b in [1, 2, 3, 4, 5, 6, 7, 8, 9]}
	count([[a, b, c, d, e, f] | some a in n; some b in n; some c in n; some d in n; some e in n; some f in n]) == 1
}`, "it took more than 64 MiB of memory",
		},
		"a test that asks outside":   {noNFSTest + "\ntest_x if http.send({\"url\": \"http://a\", \"method\": \"get\"})", "no_nfs_test.rego:9: http.send is not allowed"},
		"a test that makes no sense": {"package no_nfs_test\n\ntest_x if nonsense(1)", "no_nfs_test.rego:3: undefined function nonsense"},
		"a test that makes an error": {noNFSTest + "\ntest_x if to_number(\"a\") == 1", "no_nfs_test.rego:9: the test test_x made an error: no_nfs_test.rego:9: to_number"},
	} {
		t.Run(name, func(t *testing.T) {
			own, err := CompileOwnRules(t.Context(), RuleFiles{"no_nfs.rego": noNFS, "no_nfs_test.rego": c.test})
			if err == nil {
				err = own.Check(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestFilesAreReadAsAKubeletWritesThem(t *testing.T) {
	dir := t.TempDir()
	content := filepath.Join(dir, "..2026")
	if err := os.MkdirAll(content, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"no_nfs.rego": noNFS, "no_nfs_test.rego": noNFSTest, "README.md": "x"} {
		if err := os.WriteFile(filepath.Join(content, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..2026", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := ReadRuleFiles(dir)
	if err != nil || len(files) != 2 || files[filepath.Join(dir, "no_nfs.rego")] != noNFS {
		t.Errorf("got %v, %v", files, err)
	}
	if other := (RuleFiles{"x/no_nfs.rego": noNFS, "x/no_nfs_test.rego": noNFSTest}); files.Hash() != other.Hash() {
		t.Error("the directory makes another hash")
	}
	if other := (RuleFiles{"x/no_nfs.rego": noNFS + " ", "x/no_nfs_test.rego": noNFSTest}); files.Hash() == other.Hash() {
		t.Error("another text makes the same hash")
	}
	if _, err := ReadRuleFiles(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a directory that there isn't has rules")
	}
	if err := os.WriteFile(filepath.Join(dir, "large.rego"), make([]byte, 64<<10+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRuleFiles(dir); err == nil || !strings.Contains(err.Error(), "large.rego: 65537 bytes") {
		t.Errorf("got %v, want that the file is too large", err)
	}
}

func BenchmarkOwnRules(b *testing.B) {
	pod := &facts.Pod{}
	text, err := os.ReadFile("testdata/pod.yaml")
	if err != nil {
		b.Fatal(err)
	}
	if err := yaml.Unmarshal(text, pod); err != nil {
		b.Fatal(err)
	}
	for _, count := range []int{0, 1, 10} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			var files []string
			for i := range count {
				files = append(files, strings.NewReplacer("no_nfs", fmt.Sprintf("no_nfs%d", i), "no-nfs", fmt.Sprintf("no-nfs%d", i)).Replace(noNFS))
			}
			e := ownEvaluator(b, files...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Evaluate(b.Context(), Request{Modes: all(Restricted), Pod: pod}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
