package admit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

func TestAPatchIsWhatEncodingJSONWouldWrite(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ops := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) inject.Operation {
			op := inject.Operation{Op: "remove", Path: rapid.StringMatching(`(/[a-zA-Z0-9~.-]{1,12}){1,4}`).Draw(r, "path")}
			if rapid.Bool().Draw(r, "adds") {
				op.Op = "add"
				op.Value, _ = json.Marshal(rapid.String().Draw(r, "value"))
			}
			return op
		}), 0, 5).Draw(r, "operations")
		var got []inject.Operation
		if err := json.Unmarshal(encodePatch(ops), &got); err != nil {
			r.Fatalf("not JSON: %v", err)
		}
		if len(ops) > 0 && !reflect.DeepEqual(got, ops) {
			r.Fatalf("got %v, want %v", got, ops)
		}
	})
}

func TestMutateInjectsAndSaysSo(t *testing.T) {
	deps := newDeps(t, enforcing("off"))
	resp := answered(t, send(Mutate(deps), http.MethodPost, wanting))
	if !resp.Allowed || resp.PatchType == nil || *resp.PatchType != admissionv1.PatchTypeJSONPatch || !json.Valid(resp.Patch) {
		t.Fatalf("no patch: %+v", resp)
	}
	if !strings.Contains(strings.Join(resp.Warnings, "\n"), "injected debugsidecar-video-probe") {
		t.Errorf("warnings: %q", resp.Warnings)
	}
	if n := testutil.ToFloat64(deps.Metrics.injections.WithLabelValues("injected", "video-probe")); n != 1 {
		t.Errorf("it was counted %v times", n)
	}
}

func TestMutateAnswersOnlyForTheCreationOfPods(t *testing.T) {
	h := Mutate(newDeps(t, enforcing("off")))
	for name, body := range map[string]string{
		"update":      strings.Replace(wanting, "CREATE", "UPDATE", 1),
		"subresource": strings.Replace(wanting, `"operation"`, `"subResource":"status","operation"`, 1),
		"another":     strings.Replace(wanting, `"resource":"pods"`, `"resource":"nodes"`, 1),
		"no object":   head + `"object":null}}`,
	} {
		if resp := answered(t, send(h, http.MethodPost, body)); !resp.Allowed || resp.Patch != nil {
			t.Errorf("%s: %+v", name, resp)
		}
	}
}

func TestWhatUsersWriteIsNoMetricLabel(t *testing.T) {
	deps := newDeps(t, enforcing("off"))
	answered(t, send(Mutate(deps), http.MethodPost, strings.Replace(wanting, "video-probe", "made-up", 1)))
	if n := testutil.ToFloat64(deps.Metrics.injections.WithLabelValues("unknown-profile", "")); n != 1 {
		t.Errorf("it was counted %v times without its name", n)
	}
}

func TestAnUnreadableNamespaceLeadsToNoSidecarAndToTheFailurePolicy(t *testing.T) {
	deps := newDeps(t, nil)
	if resp := answered(t, send(Mutate(deps), http.MethodPost, wanting)); !resp.Allowed || strings.Contains(string(resp.Patch), "containers") {
		t.Errorf("mutate: %+v %s", resp, resp.Patch)
	}
	if w := send(Validate(deps), http.MethodPost, greedy); w.Code != http.StatusInternalServerError {
		t.Errorf("validate: %d %s", w.Code, w.Body)
	}
}

func TestValidateDeniesWithTheWayOut(t *testing.T) {
	resp := answered(t, send(Validate(newDeps(t, enforcing("baseline"))), http.MethodPost, greedy))
	if resp.Allowed || resp.Result.Code != http.StatusForbidden {
		t.Fatalf("not denied: %+v", resp)
	}
	for _, part := range []string{"level baseline", `container "app"`, "spec.containers[0].securityContext.privileged", "to pass:"} {
		if !strings.Contains(resp.Result.Message, part) {
			t.Errorf("%q is missing in %q", part, resp.Result.Message)
		}
	}
}

func TestValidateJudgesRegisteredSubresourcesOnly(t *testing.T) {
	h := Validate(newDeps(t, enforcing("baseline")))
	for sub, denied := range map[string]bool{"ephemeralcontainers": true, "resize": true, "status": false, "binding": false} {
		body := strings.NewReplacer("CREATE", "UPDATE", `"operation"`, `"subResource":"`+sub+`","operation"`).Replace(greedy)
		if resp := answered(t, send(h, http.MethodPost, body)); resp.Allowed == denied {
			t.Errorf("%s: allowed is %v", sub, resp.Allowed)
		}
	}
}

func TestAWorkloadIsWarnedAboutNeverDenied(t *testing.T) {
	h := Validate(newDeps(t, enforcing("baseline")))
	template := `{"spec":{"containers":[{"name":"app","image":"i:1","securityContext":{"privileged":true}}]}}`
	for kind, spec := range map[string]string{
		`"group":"apps","version":"v1","resource":"deployments"`: `{"template":` + template + `}`,
		`"group":"batch","version":"v1","resource":"cronjobs"`:   `{"jobTemplate":{"spec":{"template":` + template + `}}}`,
	} {
		body := strings.Replace(head, `"group":"","version":"v1","resource":"pods"`, kind, 1) + `"object":{"metadata":{"name":"w"},"spec":` + spec + `}}}`
		resp := answered(t, send(h, http.MethodPost, body))
		if !resp.Allowed || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "would be denied") {
			t.Errorf("%s: %+v", kind, resp)
		}
	}
}

func TestAnInjectedTemplateIsNoForgery(t *testing.T) {
	deps := newDeps(t, enforcing("baseline"))
	resp := answered(t, send(Mutate(deps), http.MethodPost, wanting))
	pod := apply(t, `{"metadata":{"labels":{"debugsidecar.io/inject":"video-probe"}},`+plain+`}`, resp.Patch)
	body := strings.Replace(head, `"group":"","version":"v1","resource":"pods"`, `"group":"apps","version":"v1","resource":"deployments"`, 1) +
		`"object":{"metadata":{"name":"w"},"spec":{"template":` + pod + `}}}}`
	if resp := answered(t, send(Validate(deps), http.MethodPost, body)); len(resp.Warnings) != 0 {
		t.Errorf("warned: %q", resp.Warnings)
	}
}

func TestADenialStaysShortHoweverManyViolations(t *testing.T) {
	var many []string
	for port := range 3000 {
		many = append(many, fmt.Sprintf(`{"containerPort":80,"hostPort":%d}`, port+1))
	}
	body := head + `"object":{"metadata":{"name":"p"},"spec":{"containers":[{"name":"app","image":"i","ports":[` + strings.Join(many, ",") + `]}]}}}}`
	resp := answered(t, send(Validate(newDeps(t, enforcing("baseline"))), http.MethodPost, body))
	if resp.Allowed || len(resp.Result.Message) > maxViolations*(maxSentence+10)+200 || !strings.Contains(resp.Result.Message, "more") {
		t.Errorf("allowed %v, %d bytes", resp.Allowed, len(resp.Result.Message))
	}
}

func apply(t *testing.T, pod string, patch []byte) string {
	t.Helper()
	p, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Apply([]byte(pod))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

const ownProfile = `{apiVersion: debugsidecar.io/v1alpha1, kind: Profile, metadata: {name: own}, spec: {tiers: [kernel, user], template: '
{"containers": [{"name": "debugsidecar-own", "image": "own:REVISION", "securityContext": {
  "allowPrivilegeEscalation": false, "seccompProfile": {"type": "RuntimeDefault"},
  {{ if eq .tier "kernel" }}
  "runAsUser": 0, "runAsNonRoot": false, "capabilities": {"drop": ["ALL"], "add": ["BPF"]}
  {{ else }}
  "runAsUser": 65532, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}
  {{ end }}
}}]}'}}`

// revision is a configuration with one more profile and a grant for it.
func revision(t *testing.T, number string, granted bool) *config.Snapshot {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"own.yaml": strings.Replace(ownProfile, "REVISION", number, 1), "config.conf": "{}"}
	if granted {
		files["config.conf"] = `grants: [{namespace: cameras, profiles: [own]}]`
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	snapshot, err := config.Load(config.Paths{Config: filepath.Join(dir, "config.conf"), Profiles: dir})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func TestWhatAnotherRevisionRenderedIsJudgedButNotRefusedForItsName(t *testing.T) {
	deps := newDeps(t, enforcing("baseline"))
	use := func(snapshots ...*config.Snapshot) {
		deps.Config = func() *config.Snapshot { return snapshots[0] }
		deps.Recent = func() []*config.Snapshot { return snapshots }
	}
	labelled := strings.Replace(wanting, "video-probe", "own", 1)
	// injected is the review of a pod that comes out of the configuration.
	injected := func(c *config.Snapshot) string {
		use(c)
		resp := answered(t, send(Mutate(deps), http.MethodPost, labelled))
		return head + `"object":` + apply(t, `{"metadata":{"name":"p","labels":{"debugsidecar.io/inject":"own"}},`+plain+`}`, resp.Patch) + `}}`
	}
	old, now := revision(t, "1", true), revision(t, "2", true)
	oldUser, nowUser := revision(t, "1", false), revision(t, "2", false)
	for name, c := range map[string]struct {
		review  string
		in      []*config.Snapshot
		allowed bool
		warned  bool
	}{
		"kernel tier, this revision":                {injected(now), []*config.Snapshot{now, old}, true, false},
		"kernel tier, the one before":               {injected(old), []*config.Snapshot{now, old}, true, false},
		"kernel tier, one that nobody here knows":   {injected(old), []*config.Snapshot{now}, false, true},
		"kernel tier, but the grant was taken back": {injected(old), []*config.Snapshot{nowUser, old}, false, true},
		"user tier, the one before":                 {injected(oldUser), []*config.Snapshot{nowUser, oldUser}, true, false},
		"user tier, one that nobody here knows":     {injected(oldUser), []*config.Snapshot{nowUser}, true, true},
		"user tier, changed into something that the rules refuse": {
			strings.Replace(injected(nowUser), `"drop":["ALL"]`, `"add":["SYS_ADMIN"]`, 1), []*config.Snapshot{nowUser}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			use(c.in...)
			resp := answered(t, send(Validate(deps), http.MethodPost, c.review))
			if resp.Allowed != c.allowed || (len(resp.Warnings) > 0) != c.warned {
				t.Errorf("allowed %v, warnings %q, %+v", resp.Allowed, resp.Warnings, resp.Result)
			}
		})
	}
}
