package admit

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// pods answers as an API server with one pod. Without one it can't be asked.
type pods struct{ pod *corev1.Pod }

func (p pods) Pod(_ context.Context, _, name string) (*corev1.Pod, error) {
	switch {
	case p.pod == nil:
		return nil, errors.New("the API server is away")
	case p.pod.Name != name:
		return nil, nil
	}
	return p.pod, nil
}

const kernelPod = `
metadata: {name: camera}
spec:
  initContainers:
  - {name: debugsidecar-full, volumeMounts: [{name: debugsidecar-full-run, mountPath: /run/debugsidecar}], securityContext: {capabilities: {add: [BPF]}}}
  containers:
  - {name: app}
  - {name: debugsidecar-debug}`

func connectDeps(t *testing.T, pod string) Deps {
	t.Helper()
	deps := newDeps(t, enforcing("off"))
	snapshot := &config.Snapshot{}
	snapshot.File.Grants = []inject.Grant{
		{Namespace: "elsewhere", Profiles: []string{"full"}, Exec: inject.Subjects{Users: []string{"eve"}}},
		{Namespace: "cameras", Profiles: []string{"full"}, Exec: inject.Subjects{Users: []string{"ada"}, Groups: []string{"node-admins"}}},
	}
	deps.Config = func() *config.Snapshot { return snapshot }
	p := pods{}
	if pod != "" {
		p.pod = &corev1.Pod{}
		if err := yaml.UnmarshalStrict([]byte(pod), p.pod); err != nil {
			t.Fatal(err)
		}
	}
	deps.Pods = p
	return deps
}

func connecting(way, user, object string) string {
	return strings.NewReplacer(`"operation":"CREATE"`, `"operation":"CONNECT","subResource":"`+way+`","name":"camera","userInfo":{"username":"`+user+`","groups":["system:authenticated","`+user+`s"]}`).
		Replace(head) + `"object":` + object + `}}`
}

func TestWhoIsNotListedDoesNotGetIntoTheKernelTier(t *testing.T) {
	for name, c := range map[string]struct {
		way, user, container string
		allowed              bool
	}{
		"exec":                       {"exec", "eve", "debugsidecar-full", false},
		"attach":                     {"attach", "eve", "debugsidecar-full", false},
		"listed":                     {"exec", "ada", "debugsidecar-full", true},
		"listed by a group":          {"attach", "node-admin", "debugsidecar-full", true},
		"the app":                    {"exec", "eve", "app", true},
		"a sidecar of the user tier": {"exec", "eve", "debugsidecar-debug", true},
		"no container, where there is more than one": {"exec", "eve", "", true}, // the API server refuses
		"no such container":                          {"exec", "eve", "debugsidecar-nobody", true},
	} {
		t.Run(name, func(t *testing.T) {
			deps := connectDeps(t, kernelPod)
			resp := answered(t, send(Connect(deps), http.MethodPost, connecting(c.way, c.user, `{"kind":"PodExecOptions","apiVersion":"v1","container":"`+c.container+`","command":["sh"]}`)))
			if resp.Allowed != c.allowed {
				t.Fatalf("allowed is %t: %+v", resp.Allowed, resp.Result)
			}
			denied := testutil.ToFloat64(deps.Metrics.entries.WithLabelValues(c.way, "denied"))
			listed := testutil.ToFloat64(deps.Metrics.entries.WithLabelValues(c.way, "listed"))
			audit := resp.AuditAnnotations["kernel-tier"]
			switch kernel := c.container == "debugsidecar-full"; {
			case !kernel && (denied+listed != 0 || audit != ""), kernel && denied+listed != 1,
				kernel && (denied == 1) == c.allowed, kernel && !strings.Contains(audit, c.way+" into the kernel tier: container debugsidecar-full of pod camera"):
				t.Errorf("counted denied %v, listed %v; audit annotation %q", denied, listed, audit)
			}
			if !c.allowed && (!strings.Contains(resp.Result.Message, "grants[].exec") || resp.Result.Code != http.StatusForbidden) {
				t.Errorf("denied with %+v", resp.Result)
			}
		})
	}
}

func TestWhereNoContainerIsNamedTheOnlyOneIsMeant(t *testing.T) {
	deps := connectDeps(t, `{metadata: {name: camera}, spec: {containers: [{name: debugsidecar-full, securityContext: {capabilities: {add: [BPF]}}}]}}`)
	if answered(t, send(Connect(deps), http.MethodPost, connecting("exec", "eve", `{"command":["sh"]}`))).Allowed {
		t.Error("it was allowed")
	}
}

func TestAPodThatCannotBeReadIsLeftToTheFailurePolicy(t *testing.T) {
	w := send(Connect(connectDeps(t, "")), http.MethodPost, connecting("exec", "eve", `{"container":"debugsidecar-full"}`))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestOnlyANewEphemeralContainerThatGetsAtTheKernelTierIsRefused(t *testing.T) {
	pod := func(meta, ephemeral string) string {
		return `{"metadata":{"name":"camera"` + meta + `},"spec":{"initContainers":[{"name":"debugsidecar-full","volumeMounts":[{"name":"debugsidecar-full-run"}],"securityContext":{"capabilities":{"add":["BPF"]}}}],"containers":[{"name":"app"}],"ephemeralContainers":[` + ephemeral + `]}}`
	}
	const (
		app    = `{"name":"a","targetContainerName":"app"}`
		target = `{"name":"b","targetContainerName":"debugsidecar-full"}`
		volume = `{"name":"c","volumeMounts":[{"name":"debugsidecar-full-run"}]}`
	)
	for name, c := range map[string]struct {
		user, meta, old, now string
		allowed              bool
	}{
		"of the app":              {"eve", "", "", app, true},
		"targets it":              {"eve", "", "", target, false},
		"mounts what is its own":  {"eve", "", "", volume, false},
		"listed":                  {"ada", "", "", target, true},
		"was there already":       {"eve", "", target, target + "," + app, true},
		"a second one":            {"eve", "", target, target + "," + volume, false},
		"in a pod that is going":  {"eve", `,"deletionTimestamp":"2026-11-26T00:00:00Z"`, "", target, true},
		"named like one that was": {"eve", "", app, app + "," + target, false},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(connecting("ephemeralcontainers", c.user, pod(c.meta, c.now)+`,"oldObject":`+pod("", c.old)), "CONNECT", "UPDATE", 1)
			if resp := answered(t, send(Connect(connectDeps(t, "")), http.MethodPost, body)); resp.Allowed != c.allowed {
				t.Errorf("allowed is %t: %+v", resp.Allowed, resp.Result)
			}
		})
	}
}

func TestWhatIsRegisteredNowhereIsAllowedAndCounted(t *testing.T) {
	for path, body := range map[string]string{
		"/mutate":   strings.Replace(greedy, "CREATE", "UPDATE", 1),
		"/validate": strings.Replace(greedy, `"operation"`, `"subResource":"status","operation"`, 1),
		"/connect":  connecting("portforward", "eve", `{"ports":[9401]}`),
	} {
		deps := connectDeps(t, kernelPod)
		h := map[string]http.Handler{"/mutate": Mutate(deps), "/validate": Validate(deps), "/connect": Connect(deps)}[path]
		if resp := answered(t, send(h, http.MethodPost, body)); !resp.Allowed {
			t.Errorf("%s: denied: %+v", path, resp.Result)
		}
		if n := testutil.ToFloat64(deps.Metrics.unasked.WithLabelValues(path)); n != 1 {
			t.Errorf("%s: counted %v times", path, n)
		}
	}
}
