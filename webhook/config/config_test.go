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
		if s.File.Images.Sidecar != DefaultImage || s.File.Images.Debug != defaultDebugImage ||
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
alerts: {alertmanagers: ["http://am-0.monitoring:9093", "http://am-1.monitoring:9093/"], webhooks: ["https://hooks.example/a?b=c"]}
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
	if a := s.File.Alerts; len(a.Alertmanagers) != 2 || len(a.Webhooks) != 1 || a.Webhooks[0] != "https://hooks.example/a?b=c" {
		t.Errorf("got receivers %+v", a)
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
		{"unknown kind of receiver", "policy: {default: off}\nalerts: {webhook: [\"http://a\"]}\n", `config.yaml:2: unknown field "alerts.webhook"`},
		{"one receiver instead of a list", "alerts:\n  webhooks: http://a\n", "config.yaml:2: alerts.webhooks: "},
		{"receiver of nothing", "alerts: {alertmanagers: [null]}\n", "alerts.alertmanagers[0]: has to be an http or https URL with a host"},
		{"receiver without a scheme", "alerts: {alertmanagers: ['http://a', 'alertmanager:9093']}\n", "alerts.alertmanagers[1]: has to be an http or https URL"},
		{"receiver with another scheme", "alerts: {webhooks: ['ftp://a']}\n", "alerts.webhooks[0]: has to be an http or https URL"},
		{"receiver without a host", "alerts: {webhooks: ['https:///a']}\n", "alerts.webhooks[0]: has to be an http or https URL"},
		{"receiver with a port alone", "alerts: {webhooks: ['https://:9093']}\n", "alerts.webhooks[0]: has to be an http or https URL"},
		{"receiver that is no URL", "alerts: {webhooks: ['http://[::1']}\n", "alerts.webhooks[0]: has to be an http or https URL"},
		{"receiver with a password", "alerts: {webhooks: ['https://me:pa55@a/']}\n", "alerts.webhooks[0]: credentials don't belong here"},
		{"receiver with a user", "alerts: {alertmanagers: ['https://me@a/']}\n", "alerts.alertmanagers[0]: credentials don't belong here"},
		{"receiver with a comma", "alerts: {webhooks: ['http://a/b,http://c']}\n", "alerts.webhooks[0]: write"},
		{"receiver with a space", "alerts: {webhooks: ['http://a/b c']}\n", "alerts.webhooks[0]: write"},
		{"receiver that the kubelet would expand", "alerts: {webhooks: ['http://a/$(DEBUGSIDECAR_SOURCE)']}\n", "alerts.webhooks[0]: write"},
		{"two receivers of one host", "alerts: {alertmanagers: ['http://a:1', 'http://a:2'], webhooks: ['https://a:2/b']}\n", "alerts.webhooks[0]: is at a:2, as alerts.alertmanagers[1] is"},
		{"canary for more than all", "canary: {percent: 101, images: {sidecar: a}}\n", "canary.percent: 101 is not between 0 and 100"},
		{"canary of nothing", "canary: {percent: 10}\n", "canary.images: name the image that is new"},
		{"canary with a negative limit", "canary: {percent: 10, images: {debug: a}, failedPods: -1}\n", "canary: failedPods"},
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

func TestPasswordOfAReceiverIsNotShown(t *testing.T) {
	for _, url := range []string{"https://me:pa55@a/", "https://me:pa55", "https://me:pa55/@a", "https://me:pa55 @a", "me:pa55@a"} {
		file := write(t, filepath.Join(t.TempDir(), "config.yaml"), "alerts: {webhooks: ['"+url+"']}\n")
		if _, err := Load(Paths{Config: file}); err == nil || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestReceiversReachTheProfiles(t *testing.T) {
	revision := func(text string) string {
		t.Helper()
		s, err := Load(Paths{Config: write(t, filepath.Join(t.TempDir(), "config.yaml"), text)})
		if err != nil {
			t.Fatal(err)
		}
		return s.Profiles.Revisions()["video-probe"]
	}
	none := revision("")
	if revision("alerts: {alertmanagers: [], webhooks: []}\n") != none {
		t.Error("empty lists are not the same as none")
	}
	a, b := revision("alerts: {alertmanagers: ['http://a']}\n"), revision("alerts: {webhooks: ['http://a']}\n")
	if a == none || b == none || a == b {
		t.Errorf("got revisions %s without a receiver, %s with an Alertmanager, %s with a webhook", none, a, b)
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
