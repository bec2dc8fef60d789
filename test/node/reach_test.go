package node_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/test/node"
)

// reachable: helm test and doctor find the installation sound, and the health
// that status shows is the sidecar's own word.
func reachable(t *testing.T, l lab) {
	out, _, err := l.Helm(t.Context(), "", "test", node.Release, "--namespace", node.Namespace, "--logs")
	if err != nil {
		t.Fatalf("helm test: %v\n%s", err, out)
	}
	if !strings.Contains(out, "Phase:          Succeeded") {
		t.Errorf("helm test says %s", out)
	}
	var doctor struct {
		Checks []struct{ Check, Result, Detail string }
	}
	text := l.plugin(t, "doctor", "-o", "json")
	if err := json.Unmarshal([]byte(text), &doctor); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	granted, nowhere := false, false
	for _, c := range doctor.Checks {
		if c.Check == "tier" && c.Result == "warn" && strings.Contains(c.Detail, "no namespace strict") {
			nowhere = true // it is made later
			continue
		}
		if c.Result != "ok" && !(c.Check == "grants" && c.Result == "warn") {
			t.Errorf("doctor: %s is %s: %s", c.Check, c.Result, c.Detail)
		}
		granted = granted || c.Check == "grants" && strings.Contains(c.Detail, "cameras")
	}
	if !nowhere {
		t.Errorf("doctor does not say that a grant is for a namespace that there is not: %s", text)
	}
	if !granted {
		t.Errorf("doctor does not say who has a grant: %s", text)
	}
	var status struct {
		Items []struct{ Namespace, Profile, State, Tier, Health string }
	}
	text = l.plugin(t, "status", "-n", "cameras", "-o", "json")
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if len(status.Items) != 1 {
		t.Fatalf("status: %s", text)
	}
	i := status.Items[0]
	if i.Profile != "video-probe" || i.State != "current" || i.Tier != "kernel" {
		t.Errorf("status: %+v", i)
	}
	switch i.Health {
	case "excellent", "fair", "poor", "unusable":
	default:
		t.Errorf("the sidecar's health is %q", i.Health)
	}
	t.Logf("\n%s\n%s", l.plugin(t, "status", "-A"), l.plugin(t, "doctor"))
}
