package admit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/policies"
)

// trimmingDeps trim in a namespace that enforces the level.
func trimmingDeps(t testing.TB, level, parameters string) Deps {
	t.Helper()
	deps := newDeps(t, enforcing(level))
	p, err := policies.ParseParameters([]byte(parameters))
	if err != nil {
		t.Fatal(err)
	}
	deps.Policies.SetParameters(p)
	return deps
}

const trims = `capabilities: {trim: true, images: {registry.example.com/cameras/: [NET_RAW]}}`

func reviewOf(t testing.TB, pod *corev1.Pod) string {
	t.Helper()
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return head + `"object":` + string(text) + `}}`
}

// drawn draws a pod whose containers add and drop capabilities.
var drawn = rapid.Custom(func(r *rapid.T) *corev1.Pod {
	names := rapid.SliceOfN(rapid.SampledFrom([]corev1.Capability{"ALL", "NET_BIND_SERVICE", "CHOWN", "NET_RAW", "SYS_ADMIN", "BPF", "all", "CAP_CHOWN", "", `a"b\`}), 0, 4)
	list := func(label string, least int) (containers []corev1.Container) {
		for i := range rapid.IntRange(least, 3).Draw(r, label) {
			c := corev1.Container{
				Name:  fmt.Sprint(label, i),
				Image: rapid.SampledFrom([]string{"app:1", "registry.example.com/cameras/probe:1", "registry.example.com/cameras-evil/probe:1"}).Draw(r, "image"),
			}
			if rapid.Bool().Draw(r, "context") {
				c.SecurityContext = &corev1.SecurityContext{}
				if rapid.IntRange(0, 3).Draw(r, "capabilities") > 0 {
					c.SecurityContext.Capabilities = &corev1.Capabilities{Add: names.Draw(r, "add"), Drop: names.Draw(r, "drop")}
				}
			}
			containers = append(containers, c)
		}
		return containers
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: list("app", 1), InitContainers: list("init", 0)}}
	pod.Name = "p"
	if rapid.Bool().Draw(r, "injected") {
		pod.Labels = map[string]string{"debugsidecar.io/inject": "video-probe"}
	}
	return pod
})

// added returns what each container of the pod's owner adds, and the pod without that.
func added(pod *corev1.Pod) (map[string][]corev1.Capability, corev1.PodSpec) {
	all, rest := map[string][]corev1.Capability{}, *pod.Spec.DeepCopy()
	for _, list := range []*[]corev1.Container{&rest.Containers, &rest.InitContainers} {
		*list = slices.DeleteFunc(*list, func(c corev1.Container) bool { return strings.HasPrefix(c.Name, "debugsidecar-") })
		if len(*list) == 0 {
			*list = nil
		}
		for i := range *list {
			if c := (*list)[i].SecurityContext; c != nil && c.Capabilities != nil {
				all[(*list)[i].Name] = c.Capabilities.Add
				c.Capabilities.Add = nil
			}
		}
	}
	rest.Volumes = nil // the sidecar's
	return all, rest
}

func TestTrimmingTwiceIsTrimmingOnceNeverAddsAndLeavesWhatTheRuleAdmits(t *testing.T) {
	for _, level := range []string{"baseline", "restricted"} {
		deps := trimmingDeps(t, level, trims)
		mutate, validate := Mutate(deps), Validate(deps)
		ask := func(h http.Handler, pod *corev1.Pod) *admissionv1.AdmissionResponse {
			return answered(t, send(h, http.MethodPost, reviewOf(t, pod)))
		}
		taken, kept := 0, 0
		rapid.Check(t, func(r *rapid.T) {
			text, err := json.Marshal(drawn.Draw(r, "pod"))
			if err != nil {
				r.Fatal(err)
			}
			before, after := &corev1.Pod{}, &corev1.Pod{}
			if err := json.Unmarshal(text, before); err != nil { // empty lists are gone now
				r.Fatal(err)
			}
			first := ask(mutate, before)
			patched := string(text)
			if first.Patch != nil {
				patched = apply(t, patched, first.Patch)
			}
			if err := json.Unmarshal([]byte(patched), after); err != nil {
				r.Fatal(err)
			}
			if again := ask(mutate, after); again.Patch != nil || len(again.AuditAnnotations) != 0 {
				r.Fatalf("a second time: %s %v", again.Patch, again.AuditAnnotations)
			}
			was, restBefore := added(before)
			is, restAfter := added(after)
			if !reflect.DeepEqual(restBefore, restAfter) {
				r.Fatalf("more than the added capabilities changed:\n%+v\n%+v", restBefore, restAfter)
			}
			differs := false
			for name, had := range was {
				has := is[name]
				differs = differs || len(had) != len(has)
				for _, c := range had {
					if len(has) > 0 && has[0] == c {
						has = has[1:]
						kept++
					} else {
						taken++
					}
				}
				if len(has) > 0 {
					r.Fatalf("container %s got %q; it had %q", name, is[name], had)
				}
			}
			said := strings.Contains(strings.Join(first.Warnings, "\n"), "took ") && first.AuditAnnotations["trimmed"] != ""
			if differs != said {
				r.Fatalf("differs is %v, it is said: %v %v", differs, first.Warnings, first.AuditAnnotations)
			}
			if resp := ask(validate, after); !resp.Allowed && strings.Contains(resp.Result.Message, "capabilities.add") {
				r.Fatalf("denied after it was trimmed: %s", resp.Result.Message)
			}
		})
		if taken == 0 || kept == 0 {
			t.Errorf("at %s %d capabilities were taken and %d left: this shows nothing", level, taken, kept)
		}
	}
}

const adds = head + `"object":{"metadata":{"name":"p"},"spec":{"containers":[{"name":"app","image":"i:1","securityContext":{"capabilities":{"drop":["ALL"],"add":["NET_RAW","CHOWN","NET_RAW"]}}}]}}}}`

func TestATrimIsSaidInWarningAuditLogAndMetric(t *testing.T) {
	deps := trimmingDeps(t, "baseline", trims)
	resp := answered(t, send(Mutate(deps), http.MethodPost, adds))
	if string(resp.Patch) != `[{"op":"replace","path":"/spec/containers/0/securityContext/capabilities/add","value":["CHOWN"]}]` {
		t.Errorf("the patch is %s", resp.Patch)
	}
	const said = `took "NET_RAW" from container "app": rule capabilities (baseline) does not allow them; remove them from spec.containers[0].securityContext.capabilities.add`
	if !slices.Equal(resp.Warnings, []string{"debugsidecar: " + said}) || resp.AuditAnnotations["trimmed"] != said {
		t.Errorf("%q, %q", resp.Warnings, resp.AuditAnnotations)
	}
	if n := testutil.ToFloat64(deps.Metrics.violations.WithLabelValues("capabilities", "trim")); n != 1 {
		t.Errorf("it was counted %v times", n)
	}
	answered(t, send(Mutate(deps), http.MethodPost, strings.Replace(adds, `"uid":"u"`, `"uid":"u","dryRun":true`, 1)))
	if n := testutil.ToFloat64(deps.Metrics.violations.WithLabelValues("capabilities", "trim")); n != 1 {
		t.Error("a dry run was counted")
	}
}

func TestNothingIsTrimmedThatWouldNotBeDenied(t *testing.T) {
	for name, c := range map[string]struct{ level, parameters, body string }{
		"no trimming":            {"baseline", "", adds},
		"another namespace's":    {"baseline", "namespaces: {other: {capabilities: {trim: true}}}", adds},
		"switched off here":      {"baseline", "capabilities: {trim: true}\nnamespaces: {cameras: {capabilities: {trim: false}}}", adds},
		"nothing enforced":       {"off", trims, adds},
		"the rule only warns":    {"baseline", trims + "\nrules: {capabilities: {mode: warn}}", adds},
		"allowed by the image":   {"baseline", trims, strings.Replace(adds, "i:1", "registry.example.com/cameras/probe:1", 1)},
		"an exempt user":         {"baseline", trims + "\nexemptions: {users: [alice]}", strings.Replace(adds, `"uid":"u"`, `"uid":"u","userInfo":{"username":"alice"}`, 1)},
		"a mirror pod":           {"baseline", trims, strings.Replace(adds, `"name":"p"`, `"name":"p","annotations":{"kubernetes.io/config.mirror":"x"}`, 1)},
		"a container of ours":    {"baseline", trims, strings.Replace(adds, `"name":"app"`, `"name":"debugsidecar-full"`, 1)},
		"only other rules' work": {"baseline", trims, greedy},
	} {
		resp := answered(t, send(Mutate(trimmingDeps(t, c.level, c.parameters)), http.MethodPost, c.body))
		if !resp.Allowed || resp.Patch != nil || len(resp.Warnings) != 0 || len(resp.AuditAnnotations) != 0 {
			t.Errorf("%s: %s %q %q", name, resp.Patch, resp.Warnings, resp.AuditAnnotations)
		}
	}
}

func TestANewEphemeralContainerIsTrimmedAndAnOldOneIsNot(t *testing.T) {
	deps := trimmingDeps(t, "baseline", trims)
	ephemeral := func(names ...string) string {
		var list []string
		for _, name := range names {
			list = append(list, fmt.Sprintf(`{"name":%q,"image":"i:1","securityContext":{"capabilities":{"add":["SYS_PTRACE"]}}}`, name))
		}
		return `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"app","image":"i:1","securityContext":{"capabilities":{"add":["NET_RAW"]}}}],"ephemeralContainers":[` + strings.Join(list, ",") + `]}}`
	}
	body := strings.NewReplacer("CREATE", "UPDATE", `"operation"`, `"subResource":"ephemeralcontainers","operation"`).Replace(head) +
		`"object":` + ephemeral("old", "new") + `,"oldObject":` + ephemeral("old") + `}}`
	resp := answered(t, send(Mutate(deps), http.MethodPost, body))
	if string(resp.Patch) != `[{"op":"remove","path":"/spec/ephemeralContainers/1/securityContext/capabilities/add"}]` || len(resp.Warnings) != 1 {
		t.Errorf("%s %q", resp.Patch, resp.Warnings)
	}
}

func TestAPodForWhichNobodyAsksKeepsWhatItHasUnderOurNames(t *testing.T) {
	deps := trimmingDeps(t, "baseline", trims)
	body := strings.Replace(adds, `"containers":[`, `"containers":[{"name":"debugsidecar-nobody","image":"i:1"},`, 1)
	for label, changed := range map[string]bool{"": true, "disabled": true} {
		labelled := body
		if label != "" {
			labelled = strings.Replace(body, `"name":"p"`, `"name":"p","labels":{"debugsidecar.io/inject":"`+label+`"}`, 1)
		}
		resp := answered(t, send(Mutate(deps), http.MethodPost, labelled))
		patch, err := jsonpatch.DecodePatch(resp.Patch)
		if err != nil || !resp.Allowed || len(patch) != 1 || changed != strings.Contains(string(resp.Patch), "/spec/containers/1/securityContext") {
			t.Errorf("label %q: %s %+v", label, resp.Patch, resp.Result)
		}
	}
	if n := testutil.CollectAndCount(deps.Metrics.injections); n != 0 {
		t.Errorf("%d decisions about sidecars were counted", n)
	}
}

func TestAWorkloadIsToldThatItsPodsWouldBeTrimmed(t *testing.T) {
	body := strings.Replace(head, `"group":"","version":"v1","resource":"pods"`, `"group":"apps","version":"v1","resource":"deployments"`, 1) +
		`"object":{"metadata":{"name":"w"},"spec":{"template":{"spec":{"containers":[{"name":"app","image":"i:1","securityContext":{"capabilities":{"add":["NET_RAW"]}}}]}}}}}}`
	resp := answered(t, send(Validate(trimmingDeps(t, "baseline", trims)), http.MethodPost, body))
	if !resp.Allowed || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], `its pods would lose ["NET_RAW"]`) {
		t.Errorf("%+v", resp)
	}
}

func TestAnExemptionThatWasUsedIsSaidInWarningAuditLogAndMetric(t *testing.T) {
	deps := trimmingDeps(t, "baseline", "exemptions: {users: [alice], namespaces: [storage]}")
	as := func(user, body string) *admissionv1.AdmissionResponse {
		return answered(t, send(Validate(deps), http.MethodPost, strings.Replace(body, `"uid":"u"`, `"uid":"u","userInfo":{"username":"`+user+`","groups":["system:authenticated"]}`, 1)))
	}
	resp := as("alice", greedy)
	if !resp.Allowed || resp.AuditAnnotations["exemption"] != `exemptions.users has "alice"` || !strings.Contains(resp.AuditAnnotations["exempted-violations"], "rule privileged") {
		t.Errorf("%+v", resp)
	}
	if len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], `exemptions.users has "alice"; otherwise it would be denied (1 violations): container "app": spec.containers[0].securityContext.privileged`) {
		t.Errorf("warnings: %q", resp.Warnings)
	}
	if n := testutil.ToFloat64(deps.Metrics.exemptions.WithLabelValues("users")); n != 1 {
		t.Errorf("counted %v times", n)
	}
	if n := testutil.ToFloat64(deps.Metrics.violations.WithLabelValues("privileged", "exempt")); n != 1 {
		t.Errorf("the violation was counted %v times", n)
	}
	if resp := as("Alice", greedy); resp.Allowed {
		t.Error("another user is exempt")
	}
	// An exemption that nobody needed is none.
	if resp := as("alice", head+`"object":{"metadata":{"name":"p"},`+plain+`}}}`); len(resp.AuditAnnotations)+len(resp.Warnings) != 0 {
		t.Errorf("%+v", resp)
	}
	if resp := as("alice", strings.Replace(greedy, `"name":"app"`, `"name":"debugsidecar-full"`, 1)); resp.Allowed {
		t.Error("a container under our name is exempt")
	}
}
