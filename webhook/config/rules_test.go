package config

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

const noNFS = `package custom.no_nfs

# METADATA
# title: No NFS volumes
# custom: {id: custom-no-nfs, level: baseline, allowed: no volumes of type nfs, fix: "remove {field}"}
baseline contains ["volumeTypes", "nfs"] if input.volumeTypes.nfs
`

const noNFSTest = `package no_nfs_test

import data.custom.no_nfs

test_refused if no_nfs.baseline == {["volumeTypes", "nfs"]} with input as {"volumeTypes": {"nfs"}}
`

func TestBrokenRulesLeaveTheLastGoodOnesInForce(t *testing.T) {
	dir := t.TempDir()
	rules, policy := &volume{dir: filepath.Join(dir, "rules")}, filepath.Join(dir, "policy.yaml")
	rules.set(t, map[string]string{"no_nfs.rego": noNFS, "no_nfs_test.rego": noNFSTest})
	write(t, policy, "{rules: {custom-no-nfs: {mode: warn}}}")
	var log strings.Builder
	s, err := NewStore(Paths{Rules: rules.dir, PolicyParameters: policy}, slog.New(slog.NewTextHandler(&log, nil)), func(*Snapshot) {})
	if err != nil {
		t.Fatal(err)
	}
	good := s.Current().Rules
	if all := good.Rules(); len(all) != 1 || all[0].ID != "custom-no-nfs" || s.Problem() != "" || s.RulesBroken() {
		t.Fatalf("got %+v and the problem %q", all, s.Problem())
	}
	for what, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a rule that can't be compiled": {map[string]string{"no_nfs.rego": noNFS + "x := nonsense(1)\n"}, "no_nfs.rego:7: undefined function nonsense"},
		"a test that fails": {map[string]string{"no_nfs.rego": noNFS, "no_nfs_test.rego": strings.Replace(noNFSTest, `{["volumeTypes", "nfs"]} with`, "set() with", 1)},
			"no_nfs_test.rego:5: the test test_refused fails"},
	} {
		log.Reset()
		rules.set(t, c.files)
		s.reload()
		s.reload() // and is told once
		if s.Current().Rules != good || !s.RulesBroken() || !strings.Contains(s.Problem(), c.want) || strings.Count(log.String(), c.want) != 1 {
			t.Errorf("%s: the problem is %q, the log\n%s", what, s.Problem(), &log)
		}
	}
	rules.set(t, map[string]string{"no_nfs.rego": noNFS + "\n"})
	s.reload()
	if s.Problem() != "" || s.RulesBroken() || s.Current().Rules == good || len(s.Current().Rules.Rules()) != 1 {
		t.Errorf("once mended: the problem is %q", s.Problem())
	}
	// The mode of a rule that there is no longer is a mistake in the parameters.
	rules.set(t, map[string]string{})
	s.reload()
	if !strings.Contains(s.Problem(), "unknown rule") || s.RulesBroken() {
		t.Errorf("without the rule: the problem is %q", s.Problem())
	}
	write(t, policy, "")
	s.reload()
	if s.Problem() != "" || s.Current().Rules != nil {
		t.Errorf("without rules: the problem is %q", s.Problem())
	}
}

func TestAWebhookWithBrokenRulesStartsAndSaysSo(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules", "a.rego"), "package custom.a\n\nbaseline if custom-a")
	write(t, filepath.Join(dir, "policy.yaml"), "{rules: {custom-a: {mode: warn}}}")
	s, err := NewStore(Paths{Rules: filepath.Join(dir, "rules"), PolicyParameters: filepath.Join(dir, "policy.yaml")},
		slog.New(slog.NewTextHandler(io.Discard, nil)), func(*Snapshot) {})
	if err != nil {
		t.Fatal(err)
	}
	if s.Current().Rules == nil || !s.RulesBroken() || !strings.Contains(s.Problem(), "a.rego:3: ") {
		t.Errorf("the problem is %q", s.Problem())
	}
	if _, err := Load(Paths{Rules: filepath.Join(dir, "rules")}); err == nil {
		t.Error("offline, broken rules are no mistake")
	}
}
