package offline

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const deniedPod = `apiVersion: v1
kind: Pod
metadata: {name: app, namespace: cameras}
spec: {containers: [{name: app, image: "example.org/app:1", securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}
`

func TestCheck_NamesContainerFieldRuleAndFix(t *testing.T) {
	r := run(deniedPod, "check", "-f", "-", "--level", "baseline")
	if r.code != exitFailed {
		t.Errorf("status %d, want 1", r.code)
	}
	for _, want := range []string{
		"standard input, document 1: Pod cameras/app: denied at level baseline\n", `container "app"`,
		"spec.containers[0].securityContext.capabilities.add", "rule capabilities", "\n    fix: ",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("does not say %q:\n%s", want, r.out)
		}
	}
	if r.err != "" {
		t.Errorf("what was printed is said again: %s", r.err)
	}
}

func TestCheckJSON_HasExactlyItsFields(t *testing.T) {
	r := run(deniedPod+"---\n"+restrictedPod, "check", "-f", "-", "--level", "baseline", "-o", "json")
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	if len(lines) != 2 || r.code != exitFailed {
		t.Fatalf("status %d, want 1, and two lines:\n%s", r.code, r.out)
	}
	if lines[1] != `{"allowed":true,"violations":[]}` {
		t.Errorf("have %s", lines[1])
	}
	var have struct {
		Allowed    *bool               `json:"allowed"`
		Violations []map[string]string `json:"violations"`
	}
	d := json.NewDecoder(strings.NewReader(lines[0]))
	d.DisallowUnknownFields()
	if err := d.Decode(&have); err != nil || have.Allowed == nil || *have.Allowed || len(have.Violations) != 1 {
		t.Fatalf("%v: %s", err, lines[0])
	}
	for key := range have.Violations[0] {
		if !strings.Contains(" rule container field message fix ", " "+key+" ") {
			t.Errorf("there is a field %q", key)
		}
	}
	if len(have.Violations[0]) != 5 {
		t.Errorf("have %v", have.Violations[0])
	}
}

func TestExplainJSON_HasExactlyItsFields(t *testing.T) {
	r := fine(t, plainPod+"---\n"+restrictedPod, "explain", "-f", "-", "-o", "json")
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("want two lines:\n%s", r.out)
	}
	for _, line := range lines {
		var have struct {
			Inject  *bool   `json:"inject"`
			Profile *string `json:"profile"`
			Tier    *string `json:"tier"`
			Reason  *string `json:"reason"`
			Steps   []struct {
				Check  *string `json:"check"`
				OK     *bool   `json:"ok"`
				Detail *string `json:"detail"`
			} `json:"steps"`
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		err := d.Decode(&have)
		if err != nil || have.Inject == nil || have.Profile == nil || have.Tier == nil || have.Reason == nil || len(have.Steps) == 0 {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func TestNamespaces_GiveTheLevels(t *testing.T) {
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata: {name: cameras, labels: {%s}}\n---\n"
	for labels, want := range map[string]struct {
		code int
		says string
	}{
		"policy.debugsidecar.io/enforce: baseline": {exitFailed, "denied at level baseline"},
		"policy.debugsidecar.io/warn: baseline":    {exitFine, "warn: container"},
		"policy.debugsidecar.io/enforce: \"off\"":  {exitFine, "allowed at level off"},
		"":                                       {exitFine, "allowed at level off"},
		"policy.debugsidecar.io/enforce: strict": {exitFailed, "denied at level restricted"},
		"policy.debugsidecar.io/enforce: \"off\", policy.debugsidecar.io/audit: restricted": {exitFine, "audit: container"},
	} {
		r := run(strings.Replace(namespace, "%s", labels, 1)+deniedPod, "check", "-f", "-")
		if r.code != want.code || !strings.Contains(r.out, want.says) {
			t.Errorf("%s: status %d, want %d and %q\n%s%s", labels, r.code, want.code, want.says, r.out, r.err)
		}
	}
	r := run(strings.Replace(namespace, "%s", "policy.debugsidecar.io/enforce: \"off\"", 1)+deniedPod, "check", "-f", "-", "--level", "baseline")
	if r.code != exitFailed {
		t.Errorf("--level does not win over the namespace:\n%s", r.out)
	}
}

func TestConfiguration_GivesTheDefaultLevelAndParameters(t *testing.T) {
	dir := t.TempDir()
	config, parameters := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "policy.yaml")
	writeFile(t, config, "policy: {default: baseline}\n")
	writeFile(t, parameters, "capabilities: {allowedAdd: [SYS_ADMIN]}\n")
	if r := run(deniedPod, "check", "-f", "-", "--config", config); r.code != exitFailed {
		t.Errorf("status %d, want 1:\n%s%s", r.code, r.out, r.err)
	}
	fine(t, deniedPod, "check", "-f", "-", "--config", config, "--policy-parameters", parameters)
}

func TestFieldPaths_AreThoseOfTheObject(t *testing.T) {
	spec := `{containers: [{name: app, image: "example.org/app:1", securityContext: {privileged: true}}]}`
	for object, want := range map[string]string{
		"apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: " + spec + "}}":                       "spec.template.spec.containers[0].securityContext.privileged",
		"apiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: " + spec + "}}}}":  "spec.jobTemplate.spec.template.spec.containers[0].securityContext.privileged",
		"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, spec: " + spec + "}]":                `"spec.containers[0].securityContext.privileged`,
		"apiVersion: v1\nkind: ReplicationController\nspec: {template: {metadata: null, spec: " + spec + "}}": "spec.template.spec.containers[0].securityContext.privileged",
	} {
		r := run(object, "check", "-f", "-", "--level", "baseline", "-o", "json")
		if r.code != exitFailed || !strings.Contains(r.out, want) {
			t.Errorf("want %s: status %d\n%s%s", want, r.code, r.out, r.err)
		}
	}
}

func TestInjectedManifests_StayAllowed(t *testing.T) {
	pods := restrictedPod + "---\n" + strings.ReplaceAll(`apiVersion: apps/v1
kind: Deployment
metadata: {name: ingest, namespace: cameras}
spec:
  template:
    metadata: {labels: {debugsidecar.io/inject: video-probe}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: ingest
        image: example.org/ingest:2
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`, "\t", "")
	injected := fine(t, pods, "inject", "-f", "-")
	fine(t, injected.out, "check", "-f", "-", "--level", "restricted")
	// Who changes our container gets no more by it than anyone.
	forged := strings.ReplaceAll(injected.out, "allowPrivilegeEscalation: false", "privileged: true")
	if r := run(forged, "check", "-f", "-", "--level", "baseline"); r.code != exitFailed || strings.Count(r.out, "denied at level") != 2 {
		t.Errorf("a container that only has our name is allowed:\n%s", r.out)
	}
	unasked := strings.ReplaceAll(injected.out, "debugsidecar.io/inject: video-probe", "app: ingest")
	if r := run(unasked, "check", "-f", "-", "--level", "baseline"); r.code != exitFailed || strings.Count(r.out, "rule reserved-names") != 2 {
		t.Errorf("a sidecar that nobody asked for is allowed:\n%s", r.out)
	}
}

// Where restricted is enforced, the sidecar has the user tier even with a grant.
func TestLevel_CountsForTheTier(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, file, "grants: [{namespace: cameras, profiles: [video-probe]}]\n")
	kernel := fine(t, restrictedPod, "inject", "-f", "-", "--config", file)
	fine(t, kernel.out, "check", "-f", "-", "--config", file, "--level", "baseline")
	if r := run(kernel.out, "check", "-f", "-", "--config", file, "--level", "restricted"); r.code != exitFailed {
		t.Errorf("the kernel tier passes restricted:\n%s", r.out)
	}
	if r := run(kernel.out, "check", "-f", "-", "--level", "baseline"); r.code != exitFailed {
		t.Errorf("the kernel tier passes without a grant:\n%s", r.out)
	}
}

// An API server sets a field before anyone judges it.
func TestDefaults_AreJudgedAsInACluster(t *testing.T) {
	dir := t.TempDir()
	parameters := filepath.Join(dir, "policy.yaml")
	writeFile(t, parameters, "rules: {host-namespaces: {mode: \"off\"}}\n")
	input := `apiVersion: v1
kind: Pod
metadata: {name: app, namespace: cameras}
spec: {hostNetwork: true, volumes: [{name: scratch}], containers: [{name: app, image: "example.org/app:1", ports: [{containerPort: 8080}]}]}
`
	r := run(input, "check", "-f", "-", "--level", "baseline", "--policy-parameters", parameters)
	if r.code != exitFailed || !strings.Contains(r.out, "hostPort") {
		t.Errorf("status %d, want 1 for the host port:\n%s%s", r.code, r.out, r.err)
	}
	r = run(input, "check", "-f", "-", "--level", "restricted", "-o", "json")
	if strings.Contains(r.out, "spec.volumes") {
		t.Errorf("a volume without a source is an emptyDir:\n%s", r.out)
	}
}

func TestCheck_JudgesKubernetesFixturesAsPodSecurityDoes(t *testing.T) {
	for _, level := range []string{"baseline", "restricted"} {
		dir := fixtures(t, level)
		for folder, code := range map[string]int{"fail": exitFailed, "pass": exitFine} {
			r := run("", "check", "-f", filepath.Join(dir, folder), "--level", level, "-o", "json")
			if r.code != code || r.err != "" {
				t.Errorf("%s %s: status %d, want %d\n%s", level, folder, r.code, code, r.err)
			}
			lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
			files, err := filepath.Glob(filepath.Join(dir, folder, "*.yaml"))
			if err != nil || len(files) < 10 || len(lines) != len(files) {
				t.Fatalf("%s %s: %d lines for %d files: %v", level, folder, len(lines), len(files), err)
			}
			for i, line := range lines {
				if allowed := strings.HasPrefix(line, `{"allowed":true,`); allowed != (folder == "pass") {
					t.Errorf("%s: %s", filepath.Base(files[i]), line)
				}
			}
		}
	}
}

func TestExplain_ShowsEachStep(t *testing.T) {
	r := fine(t, plainPod, "explain", "-f", "-", "--profile", "debug")
	want := "  yes  label "
	if !strings.Contains(r.out, "Pod cameras/app: a sidecar: profile debug") || !strings.Contains(r.out, want) {
		t.Errorf("have %s", cmp.Diff(want, r.out))
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
