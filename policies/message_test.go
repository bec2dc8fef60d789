package policies_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/policies"
)

// worst is a pod that every rule refuses.
const worst = `
metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/app: unconfined}}
spec:
  hostNetwork: true
  hostPID: true
  hostIPC: true
  securityContext:
    runAsUser: 0
    sysctls: [{name: kernel.msgmax, value: "1"}]
    windowsOptions: {hostProcess: true}
  volumes: [{name: dev, hostPath: {path: /dev}}, {name: archive, nfs: {server: nas, path: /}}, {name: new}]
  containers:
  - name: app
    ports: [{containerPort: 80, hostPort: 80}, {containerPort: 554, hostPort: 554}]
    livenessProbe: {httpGet: {host: 169.254.169.254, port: 80}}
    lifecycle: {preStop: {tcpSocket: {host: example.com, port: 80}}}
    securityContext:
      privileged: true
      allowPrivilegeEscalation: true
      runAsNonRoot: false
      procMount: Unmasked
      capabilities: {add: [SYS_ADMIN, CHOWN], drop: [KILL]}
      seLinuxOptions: {type: spc_t, user: system_u, role: system_r}
      appArmorProfile: {type: Unconfined}
      seccompProfile: {type: Unconfined}
  initContainers:
  - name: debugsidecar-probe
`

func TestMessages(t *testing.T) {
	rules, err := policies.Rules()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, modes := range []policies.Modes{
		{Enforce: policies.Baseline, Warn: policies.Restricted},
		{Enforce: policies.Restricted},
	} {
		fmt.Fprintf(&b, "# enforce %s, warn %s\n", modes.Enforce, modes.Warn)
		result := evaluate(t, newEvaluator(t), policies.Request{Modes: modes, Pod: podOf(t, worst)})
		for _, v := range result.Violations {
			fmt.Fprintf(&b, "%s %s\n  %s\n", v.Action, v.Message, v.Fix)
		}
		found := rulesOf(result)
		for _, rule := range rules {
			if !slices.Contains(found, rule.ID) {
				t.Errorf("%+v: the rule %s finds nothing", modes, rule.ID)
			}
		}
	}
	const golden = "testdata/messages.txt"
	if *updateGenerated {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("messages differ from %s; if they are right, run: go test ./policies -run TestMessages -update\n%s", golden, b.String())
	}
}
