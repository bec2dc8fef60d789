package node_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/node"
)

const lives = 10

// livesOfARelease installs, upgrades with another profile, rolls back, uninstalls
// and installs again, and then compares what is in the cluster with what was.
func livesOfARelease(t *testing.T, l lab) {
	l.kubectl(t, "", "create", "namespace", "lives")
	l.helm(t, "uninstall", node.Release, "--namespace", node.Namespace, "--wait")
	before := l.objects(t)
	begin := time.Now()
	for round := range lives {
		name := fmt.Sprintf("round-%d", round)
		if err := l.Upgrade(t.Context(), values+profiles(t)); err != nil {
			t.Fatalf("%s: installing: %v", name, err)
		}
		first := l.revision(t, name+"-installed")
		changed := strings.ReplaceAll(profiles(t), "default: 64Mi", "default: 65Mi")
		if err := l.Upgrade(t.Context(), values+changed); err != nil {
			t.Fatalf("%s: upgrading: %v", name, err)
		}
		l.until(t, "new pods have the new revision", func(context.Context) error {
			if r := l.revision(t, fmt.Sprintf("%s-upgraded-%d", name, time.Now().UnixMilli())); r == first {
				return fmt.Errorf("revision %s", r)
			}
			return nil
		})
		l.helm(t, "rollback", node.Release, "1", "--namespace", node.Namespace)
		if err := l.Installed(t.Context()); err != nil {
			t.Fatalf("%s: rolling back: %v", name, err)
		}
		l.until(t, "new pods have the first revision again", func(context.Context) error {
			if r := l.revision(t, fmt.Sprintf("%s-back-%d", name, time.Now().UnixMilli())); r != first {
				return fmt.Errorf("revision %s, not %s", r, first)
			}
			return nil
		})
		l.helm(t, "uninstall", node.Release, "--namespace", node.Namespace, "--wait")
	}
	l.until(t, "nothing is left", func(context.Context) error {
		after := l.objects(t)
		var left []string
		for _, o := range after {
			if !slices.Contains(before, o) {
				left = append(left, o)
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("left over: %s", strings.Join(left, " "))
		}
		return nil
	})
	t.Logf("%d times installed, upgraded, rolled back and uninstalled in %.1f s; the same %d objects as before", lives, time.Since(begin).Seconds(), len(before))
	if err := l.Upgrade(t.Context(), values+profiles(t)); err != nil {
		t.Fatalf("installing for those that come after: %v", err)
	}
}

func (l lab) helm(t *testing.T, args ...string) {
	t.Helper()
	if _, _, err := l.Helm(t.Context(), "", args...); err != nil {
		t.Fatalf("helm %s: %v", strings.Join(args, " "), err)
	}
}

var revisionInStatus = regexp.MustCompile(`"revision":"([0-9a-f]+)"`)

// revision asks for a pod, without making it, and returns its profile's revision.
func (l lab) revision(t *testing.T, name string) string {
	t.Helper()
	text := l.manifest(t, "work.yaml", "PROFILE", "within", "NAME", name, "COMMAND", "work", "PARAMS", "{}")
	out, _, err := l.Kubectl(t.Context(), text, "create", "--dry-run=server", "--namespace=lives", "-f", "-", "-o", `jsonpath={.metadata.annotations.debugsidecar\.io/status}`)
	if err != nil {
		t.Fatal(err)
	}
	m := revisionInStatus.FindStringSubmatch(out)
	if m == nil {
		return "none: " + out
	}
	return m[1]
}

// passing are kinds whose objects come and go by themselves.
var passing = []string{"events", "endpointslices", "componentstatuses", "podmetrics"}

// objects lists all that is in the cluster.
func (l lab) objects(t *testing.T) []string {
	t.Helper()
	var kinds []string
	for kind := range strings.FieldsSeq(l.kubectl(t, "", "api-resources", "--verbs=list", "-o", "name")) {
		if name, _, _ := strings.Cut(kind, "."); !slices.Contains(passing, name) {
			kinds = append(kinds, kind)
		}
	}
	out := l.kubectl(t, "", "get", strings.Join(kinds, ","), "-A", "--ignore-not-found", "-o",
		`go-template={{range .items}}{{.kind}}/{{.metadata.namespace}}/{{.metadata.name}}{{"\n"}}{{end}}`)
	all := strings.Fields(out)
	slices.Sort(all)
	return all
}

// lostInstallations are uninstalled in the wrong order, or half.
func lostInstallations(t *testing.T, l lab) {
	pod := func(name string) {
		t.Helper()
		text := l.manifest(t, "work.yaml", "PROFILE", "video-probe", "NAME", name, "COMMAND", "work, --for=1h", "PARAMS", "{}")
		if _, _, err := l.Kubectl(t.Context(), text, "create", "--dry-run=server", "--namespace=lost", "-f", "-"); err != nil {
			t.Errorf("%s: no pod can be made: %v", name, err)
		}
	}
	l.kubectl(t, "", "create", "namespace", "lost")
	l.kubectl(t, "", "label", "namespace", "lost", "policy.debugsidecar.io/enforce=baseline")
	pod("before")

	// The namespace first. Afterwards nothing selects pods any more.
	l.kubectl(t, "", "delete", "namespace", node.Namespace, "--wait=true")
	l.until(t, "no webhook of ours is left", func(context.Context) error {
		for _, kind := range []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
			if out := l.kubectl(t, "", "get", kind, "-o", "name"); out != "" {
				return fmt.Errorf("still there: %s", out)
			}
		}
		return nil
	})
	pod("namespace-gone")

	// Uninstalling that is interrupted at once, and tried again.
	l.kubectl(t, "", "create", "namespace", node.Namespace)
	if err := l.Upgrade(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	_, _, err := l.Helm(ctx, "", "uninstall", node.Release, "--namespace", node.Namespace)
	cancel()
	t.Logf("an interrupted uninstall: %v", err)
	time.Sleep(2 * time.Second)
	l.kubectl(t, "", "label", "namespace", "lost", "policy.debugsidecar.io/enforce-", "--overwrite")
	pod("half-uninstalled")
	if _, _, err := l.Helm(t.Context(), "", "uninstall", node.Release, "--namespace", node.Namespace, "--ignore-not-found", "--wait"); err != nil {
		t.Error(err)
	}
	pod("uninstalled")
	if err := l.Upgrade(t.Context(), values+profiles(t)); err != nil {
		t.Fatal(err)
	}
}
