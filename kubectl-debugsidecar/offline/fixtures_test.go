package offline

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// fixtures is the directory of Kubernetes' own Pod Security fixtures for a level,
// of the newest version in which a check changed. In it are pass and fail.
func fixtures(t *testing.T, level string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		t.Fatalf("finding the fixtures' module: %v", err)
	}
	latest := api.MajorMinorVersion(1, 0)
	for _, check := range policy.DefaultChecks() {
		for _, version := range check.Versions {
			if latest.Older(version.MinimumVersion) {
				latest = version.MinimumVersion
			}
		}
	}
	return filepath.Join(string(bytes.TrimSpace(out)), "test", "testdata", level, latest.String())
}

func TestInject_IsIdempotentAndUninjectItsInverseForEveryFixture(t *testing.T) {
	for _, c := range []struct{ level, profile, version string }{
		{"baseline", "video-probe", ""},
		{"baseline", "debug", "1.28"},
		{"restricted", "full", ""},
	} {
		flags := []string{"--profile", c.profile, "--kubernetes-version", c.version, "--pod-security", c.level}
		original := fine(t, "", append(flags, "uninject", "-R", "-f", fixtures(t, c.level))...).out
		once := fine(t, original, append(flags, "inject", "-f", "-")...).out
		if twice := fine(t, once, append(flags, "inject", "-f", "-")...).out; twice != once {
			t.Errorf("%v: injecting twice differs:\n%s", flags, cmp.Diff(once, twice))
		}
		back := fine(t, once, append(flags, "uninject", "-f", "-")...).out
		if diff := cmp.Diff(contents(t, original), contents(t, back)); diff != "" {
			t.Errorf("%v: uninject does not give the original:\n%s", flags, diff)
		}
		if have := strings.Count(once, "name: debugsidecar-"+c.profile+"\n"); have < 20 {
			t.Errorf("%v: only %d pods were injected", flags, have)
		}
	}
}

func TestInjectedFixtures_AreStillAllowed(t *testing.T) {
	for _, level := range []string{"baseline", "restricted"} {
		injected := fine(t, "", "inject", "-f", filepath.Join(fixtures(t, level), "pass"), "--profile", "video-probe", "--pod-security", level)
		fine(t, injected.out, "check", "-f", "-", "--level", level, "--profile", "video-probe", "--pod-security", level)
	}
}
