package offline

import (
	"path/filepath"
	"strings"
	"testing"
)

// A pod that adds what the level baseline refuses, in a namespace that enforces it.
const addingPod = `
apiVersion: v1
kind: Namespace
metadata: {name: cameras, labels: {policy.debugsidecar.io/enforce: baseline}}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: cameras}
spec:
  containers:
  - {name: app, image: app, securityContext: {capabilities: {add: [NET_RAW, CHOWN]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: cameras}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers:
      - {name: app, image: app, securityContext: {capabilities: {add: [SYS_ADMIN]}}}
`

func TestExplainAndCheckSayWhatTheWebhookTakesAway(t *testing.T) {
	parameters := filepath.Join(t.TempDir(), "policy.yaml")
	writeFile(t, parameters, "capabilities: {trim: true}\n")
	r := fine(t, addingPod, "explain", "-f", "-", "--policy-parameters", parameters)
	for _, part := range []string{`took "NET_RAW" from container "app": rule capabilities (baseline)`, `took "SYS_ADMIN" from container "app"`} {
		if !strings.Contains(r.out, part) {
			t.Errorf("%q is missing in\n%s", part, r.out)
		}
	}
	r = fine(t, addingPod, "check", "-f", "-", "--policy-parameters", parameters)
	if n := strings.Count(r.out, "the webhook takes these away: "); n != 2 || strings.Contains(r.out, "denied") {
		t.Errorf("check says\n%s", r.out)
	}

	if r := run(addingPod, "check", "-f", "-"); r.code != exitFailed || !strings.Contains(r.out, "denied at level baseline") {
		t.Errorf("without trimming, check ends with %d:\n%s", r.code, r.out)
	}
	if r := fine(t, addingPod, "explain", "-f", "-"); strings.Contains(r.out, "took") {
		t.Errorf("without trimming, explain says\n%s", r.out)
	}
}
