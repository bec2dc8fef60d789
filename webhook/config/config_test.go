package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestNothingConfiguredGivesTheDefaults(t *testing.T) {
	for _, p := range []Paths{{}, {Profiles: filepath.Join(t.TempDir(), "none"), PolicyParameters: filepath.Join(t.TempDir(), "none")}} {
		s, err := Load(p)
		if err != nil {
			t.Fatal(err)
		}
		c := s.Cluster(true, "own")
		if s.File.Images.Sidecar != DefaultImage || s.File.Images.Debug != DefaultImage ||
			c.PolicyDefault != "off" || c.PodSecurityDefault != "privileged" || len(c.Grants) != 0 || !c.NativeSidecars || c.OwnNamespace != "own" {
			t.Errorf("got %+v and %+v", s.File, c)
		}
		if len(s.Profiles.Names()) != 3 || s.Parameters == nil {
			t.Errorf("got profiles %v, parameters %v", s.Profiles.Names(), s.Parameters)
		}
	}
}

func TestConfigurationIsRead(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"), `
images: {sidecar: "registry.example/sidecar:1", debug: "registry.example/debug:1"}
policy: {default: restricted}
podSecurityDefault: baseline
grants: [{namespace: media, profiles: [video-probe]}]
hostKernelRuntimeClasses: [runc]
`)
	s, err := Load(Paths{Config: file})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Cluster(false, "")
	if c.PolicyDefault != "restricted" || c.PodSecurityDefault != "baseline" || c.Grants[0].Namespace != "media" || c.HostKernelRuntimeClasses[0] != "runc" {
		t.Errorf("got %+v", c)
	}
}

func TestOffNeedsNoQuotes(t *testing.T) {
	for _, text := range []string{"policy: {default: off}\n", "policy: {default: 'off'}\n"} {
		s, err := Load(Paths{Config: write(t, filepath.Join(t.TempDir(), "config.yaml"), text)})
		if err != nil || s.File.Policy.Default != "off" {
			t.Errorf("%s: got %+v, %v", text, s, err)
		}
	}
}

func TestBrokenConfigurationIsRefused(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"unknown field", "policy: {default: off}\npodSecurityDefualt: baseline\n", `config.yaml:2: unknown field "podSecurityDefualt"`},
		{"field below", "images:\n  sidcar: a\n", `config.yaml:2: unknown field "images.sidcar"`},
		{"no YAML", "policy: [\n", "config.yaml:1: "},
		{"policy that is switched on", "policy: {default: on}\n", "config.yaml:1: policy.default: can't be a value of type bool"},
		{"wrong type", "policy: {default: off}\ngrants: {namespace: a}\n", "config.yaml:2: grants: "},
		{"key twice", "podSecurityDefault: baseline\npodSecurityDefault: baseline\n", "config.yaml:2: "},
		{"unknown level", "policy: {default: high}\n", `policy.default: "high" is none of`},
		{"unknown Pod Security level", "podSecurityDefault: off\n", "podSecurityDefault"},
		{"grant for every namespace", "grants: [{namespace: '*', profiles: [full]}]\n", "name one namespace"},
		{"grant for no namespace", "grants: [{profiles: [full]}]\n", "name one namespace"},
		{"grant for no profile", "grants: [{namespace: a}]\n", "name the profiles"},
		{"grant for an unknown profile", "grants: [{namespace: a, profiles: [fool]}]\n", `there is no profile "fool"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, filepath.Join(t.TempDir(), "config.yaml"), c.text)
			_, err := Load(Paths{Config: file})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, want %s: …%s…", err, file, c.want)
			}
		})
	}
	if _, err := Load(Paths{Config: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a missing file was taken for an empty one")
	}
}

func TestEachBrokenFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	p := Paths{
		Config:           write(t, filepath.Join(dir, "config.yaml"), "nothing: here\n"),
		PolicyParameters: write(t, filepath.Join(dir, "policy.yaml"), "nothing: here\n"),
		Profiles:         filepath.Join(dir, "profiles"),
	}
	own := write(t, filepath.Join(dir, "profiles", "own.yaml"), "kind: Profile\nnothing: here\n")
	_, err := Load(p)
	if err == nil {
		t.Fatal("it was loaded")
	}
	for _, want := range []string{p.Config + ":1: ", p.PolicyParameters, own + ":2: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %s:\n%v", want, err)
		}
	}
}
