package offline

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rulesDir writes rules of one's own, with some texts replaced.
func rulesDir(t *testing.T, replace ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"no_nfs.rego": `package custom.no_nfs

# METADATA
# title: No NFS volumes
# custom: {id: custom-no-nfs, level: baseline, allowed: no volumes of type nfs, fix: "remove {field}"}
baseline contains ["volumeTypes", "nfs"] if is_nfs

is_nfs if input.volumeTypes.nfs

is_nfs if {
	input.volumeTypes.unknown
	input.windows
}
`,
		"no_nfs_test.rego": `package no_nfs_test

import data.custom.no_nfs

test_refused if no_nfs.baseline == {["volumeTypes", "nfs"]} with input as {"volumeTypes": {"nfs"}}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.NewReplacer(replace...).Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPolicyTest_TellsWhatTheTestsReach(t *testing.T) {
	dir := rulesDir(t)
	r := run("", "policy", "test", dir)
	if r.code != exitFine || !strings.HasPrefix(r.out, "1 tests: 1 passed, 0 failed, 0 skipped\n") || !strings.Contains(r.out, "not reached: lines 10") {
		t.Errorf("got %d\n%s%s", r.code, r.out, r.err)
	}
	if r := run("", "policy", "test", dir, "--min-coverage", "100"); r.code != exitFailed || !strings.Contains(r.err, "less than 100 %") {
		t.Errorf("got %d\n%s%s", r.code, r.out, r.err)
	}
	r = run("", "policy", "test", dir, "-o", "json")
	var got tested
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || !got.Passed || len(got.Tests) != 1 || got.CoveragePercent != 40 {
		t.Errorf("got %+v, %v\n%s", got, err, r.out)
	}
}

func TestPolicyTest_SaysWhereTheMistakeIs(t *testing.T) {
	for name, c := range map[string]struct {
		replace []string
		want    string
	}{
		"a test that fails": {[]string{`{["volumeTypes", "nfs"]} with`, `set() with`}, "no_nfs_test.rego:5: the test test_refused fails"},
		"a misspelt fact":   {[]string{"input.windows", "input.window"}, "no_nfs.rego:12: there is no input.window"},
		"a forbidden call":  {[]string{"input.windows", "opa.runtime().env"}, "no_nfs.rego:12: opa.runtime is not allowed"},
	} {
		dir := rulesDir(t, c.replace...)
		if r := run("", "policy", "test", dir); r.code != exitFailed || !strings.Contains(r.err, "error: "+filepath.Join(dir, c.want)) {
			t.Errorf("%s: got %d\n%s%s", name, r.code, r.out, r.err)
		}
		r := run("", "policy", "test", dir, "-o", "json")
		var got tested
		if err := json.Unmarshal([]byte(r.out), &got); r.code != exitFailed || err != nil || got.Passed || len(got.Errors) == 0 || !strings.Contains(got.Errors[0], c.want) {
			t.Errorf("%s: got %d %+v, %v", name, r.code, got, err)
		}
	}
	for _, dir := range []string{t.TempDir(), "nowhere", "policy_test.go"} {
		if r := run("", "policy", "test", dir); r.code != exitFailed || r.err == "" {
			t.Errorf("%s: got %d %s", dir, r.code, r.err)
		}
	}
	if r := run("", "policy", "test"); r.code != exitUsage {
		t.Errorf("without a directory: got %d %s", r.code, r.err)
	}
}

func TestCheck_AsksRulesOfOnesOwn(t *testing.T) {
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {volumes: [{name: v, nfs: {server: a, path: /}}], containers: [{name: c, image: i}]}}`
	r := run(pod, "check", "-f", "-", "--level", "baseline", "--policy", rulesDir(t), "-o", "json")
	if r.code != exitFailed || !strings.Contains(r.out, `"rule":"custom-no-nfs"`) || !strings.Contains(r.out, `"fix":"remove spec.volumes[0].nfs"`) {
		t.Errorf("got %d\n%s%s", r.code, r.out, r.err)
	}
	if r := run(pod, "check", "-f", "-", "--level", "baseline"); r.code != exitFine {
		t.Errorf("without the rule: got %d\n%s%s", r.code, r.out, r.err)
	}
	bad := rulesDir(t, `{["volumeTypes", "nfs"]} with`, `set() with`)
	if r := run(pod, "check", "-f", "-", "--level", "baseline", "--policy", bad); r.code != exitFailed || !strings.Contains(r.err, "no_nfs_test.rego:5: the test test_refused fails") {
		t.Errorf("with rules that the webhook would refuse: got %d\n%s%s", r.code, r.out, r.err)
	}
}
