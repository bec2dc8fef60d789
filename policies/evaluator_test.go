package policies_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

func newEvaluator(t testing.TB) *policies.Evaluator {
	t.Helper()
	e, err := policies.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// podOf decodes a pod's YAML into the lean form.
func podOf(t testing.TB, text string) *facts.Pod {
	t.Helper()
	pod := &facts.Pod{}
	if err := yaml.Unmarshal([]byte(text), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func evaluate(t testing.TB, e *policies.Evaluator, r policies.Request) policies.Result {
	t.Helper()
	result, err := e.Evaluate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func enforce(level policies.Level) policies.Modes { return policies.Modes{Enforce: level} }

// short is a violation without its texts.
type short struct {
	rule, container, field string
	level                  policies.Level
	action                 policies.Action
}

func shorts(result policies.Result) []short {
	all := []short{}
	for _, v := range result.Violations {
		all = append(all, short{v.Rule, v.Container, v.Field, v.Level, v.Action})
	}
	return all
}

func wantShorts(t *testing.T, result policies.Result, want ...short) {
	t.Helper()
	if got := shorts(result); !slices.Equal(got, want) {
		t.Errorf("violations:\n%+v\nwant:\n%+v", got, want)
	}
}

const (
	compliantContext = `{allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}`
	addField         = "spec.containers[0].securityContext.capabilities.add"
)

func TestTheStrongestModeDecidesTheAction(t *testing.T) {
	evaluator := newEvaluator(t)
	// SYS_ADMIN is refused at both levels, CHOWN and what is unset at restricted.
	pod := podOf(t, `spec: {containers: [{name: app, securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL], add: [SYS_ADMIN, CHOWN]}}}]}`)
	const off, baseline, restricted = policies.Off, policies.Baseline, policies.Restricted
	sysAdmin := func(a policies.Action) short { return short{"capabilities", "app", addField, baseline, a} }
	chown := func(a policies.Action) short { return short{"capabilities", "app", addField, restricted, a} }
	for _, c := range []struct {
		modes policies.Modes
		want  []short
	}{
		{policies.Modes{}, nil},
		{policies.Modes{off, off, off}, nil},
		{policies.Modes{baseline, off, off}, []short{sysAdmin(policies.Deny)}},
		{policies.Modes{off, baseline, off}, []short{sysAdmin(policies.Warn)}},
		{policies.Modes{off, off, baseline}, []short{sysAdmin(policies.Audit)}},
		{policies.Modes{restricted, off, off}, []short{sysAdmin(policies.Deny)}}, // one message for both values
		{policies.Modes{baseline, restricted, off}, []short{sysAdmin(policies.Deny), chown(policies.Warn)}},
		{policies.Modes{baseline, off, restricted}, []short{sysAdmin(policies.Deny), chown(policies.Audit)}},
		{policies.Modes{off, baseline, restricted}, []short{sysAdmin(policies.Warn), chown(policies.Audit)}},
		{policies.Modes{baseline, restricted, restricted}, []short{sysAdmin(policies.Deny), chown(policies.Warn)}},
		{policies.Modes{"nonsense", off, off}, []short{sysAdmin(policies.Deny)}},
	} {
		result := evaluate(t, evaluator, policies.Request{Modes: c.modes, Pod: pod})
		if got := shorts(result); !slices.Equal(got, c.want) {
			t.Errorf("%+v: violations:\n%+v\nwant:\n%+v", c.modes, got, c.want)
		}
		if result.Denied() != slices.ContainsFunc(c.want, func(s short) bool { return s.action == policies.Deny }) {
			t.Errorf("%+v: denied is %v", c.modes, result.Denied())
		}
	}
}

func TestOneControlGivesOneMessageAField(t *testing.T) {
	evaluator := newEvaluator(t)
	pod := podOf(t, `
spec:
  volumes: [{name: dev, hostPath: {path: /dev}}]
  containers:
  - name: app
    securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, procMount: Unmasked, seccompProfile: {type: Unconfined}, capabilities: {drop: [ALL]}}
`)
	want := func(a policies.Action) []short {
		return []short{
			{"proc-mount", "app", "spec.containers[0].securityContext.procMount", policies.Baseline, a},
			{"seccomp", "app", "spec.containers[0].securityContext.seccompProfile.type", policies.Baseline, a},
			{"volumes", "", "spec.volumes[0].hostPath", policies.Baseline, a},
		}
	}
	for _, modes := range []policies.Modes{
		enforce(policies.Restricted),
		{Enforce: policies.Baseline, Warn: policies.Restricted, Audit: policies.Restricted},
	} {
		wantShorts(t, evaluate(t, evaluator, policies.Request{Modes: modes, Pod: pod}), want(policies.Deny)...)
	}
}

func TestEveryListOfContainersIsSeen(t *testing.T) {
	evaluator := newEvaluator(t)
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		pod := podOf(t, `spec: {`+list+`: [{name: first}, {name: second, securityContext: {privileged: true}}]}`)
		wantShorts(t, evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Baseline), Pod: pod, FieldPath: "spec.template.spec"}),
			short{"privileged", "second", "spec.template.spec." + list + "[1].securityContext.privileged", policies.Baseline, policies.Deny})
	}
}

func TestAnnotationsHaveTheirPathInTheObject(t *testing.T) {
	evaluator := newEvaluator(t)
	pod := podOf(t, `
metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/app: unconfined}}
spec: {containers: [{name: app}]}
`)
	for specPath, metadata := range map[string]string{
		"": "metadata", "spec": "metadata", "spec.template.spec": "spec.template.metadata",
		"spec.jobTemplate.spec.template.spec": "spec.jobTemplate.spec.template.metadata",
	} {
		wantShorts(t, evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Baseline), Pod: pod, FieldPath: specPath}),
			short{"apparmor", "app", metadata + ".annotations[container.apparmor.security.beta.kubernetes.io/app]", policies.Baseline, policies.Deny})
	}
}

func TestAGrantLiftsItsCapabilitiesForItsContainerAtBaselineOnly(t *testing.T) {
	evaluator := newEvaluator(t)
	const ours, field = "debugsidecar-video-probe", "spec.initContainers[0].securityContext.capabilities.add"
	pod := podOf(t, `
spec:
  initContainers:
  - {name: debugsidecar-video-probe, securityContext: {runAsUser: 0, allowPrivilegeEscalation: false, seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL], add: [BPF, PERFMON, NET_RAW]}}}
  containers:
  - {name: app, securityContext: `+compliantContext+`}
`)
	granted := []corev1.Capability{"BPF", "PERFMON", "NET_RAW"}
	request := func(level policies.Level, identity policies.Identity) policies.Request {
		return policies.Request{Modes: enforce(level), Pod: pod, Reserved: map[string]policies.Identity{ours: identity}}
	}
	wantShorts(t, evaluate(t, evaluator, request(policies.Baseline, policies.Identity{Ours: true, Capabilities: granted})))

	// Less is granted than it adds.
	result := evaluate(t, evaluator, request(policies.Baseline, policies.Identity{Ours: true, Capabilities: granted[:2]}))
	wantShorts(t, result, short{"capabilities", ours, field, policies.Baseline, policies.Deny})
	if !strings.Contains(result.Violations[0].Message, `has "NET_RAW";`) {
		t.Errorf("the message names more or less than NET_RAW: %s", result.Violations[0].Message)
	}

	// It isn't ours: neither its name nor what would be granted helps.
	for _, reserved := range []map[string]policies.Identity{nil, {ours: {Capabilities: granted}}} {
		wantShorts(t, evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Baseline), Pod: pod, Reserved: reserved}),
			short{"capabilities", ours, field, policies.Baseline, policies.Deny},
			short{"reserved-names", ours, "spec.initContainers[0].name", policies.Baseline, policies.Deny})
	}

	// Restricted stays what it is.
	wantShorts(t, evaluate(t, evaluator, request(policies.Restricted, policies.Identity{Ours: true, Capabilities: granted})),
		short{"capabilities", ours, field, policies.Restricted, policies.Deny},
		short{"run-as-non-root", ours, "spec.initContainers[0].securityContext.runAsNonRoot", policies.Restricted, policies.Deny},
		short{"run-as-user", ours, "spec.initContainers[0].securityContext.runAsUser", policies.Restricted, policies.Deny})

	// Another container gets nothing of it, whatever the request says about it.
	other := podOf(t, `spec: {containers: [{name: app, securityContext: {capabilities: {add: [BPF]}}}]}`)
	wantShorts(t, evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Baseline), Pod: other,
		Reserved: map[string]policies.Identity{"app": {Ours: true, Capabilities: granted}}}),
		short{"capabilities", "app", addField, policies.Baseline, policies.Deny})

	// Nor does a grant lift another rule.
	privileged := podOf(t, `spec: {containers: [{name: debugsidecar-video-probe, securityContext: {privileged: true}}]}`)
	wantShorts(t, evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Baseline), Pod: privileged,
		Reserved: map[string]policies.Identity{ours: {Ours: true, Capabilities: granted}}}),
		short{"privileged", ours, "spec.containers[0].securityContext.privileged", policies.Baseline, policies.Deny})
}

func TestAReservedNameIsRefusedWithItsReason(t *testing.T) {
	pod := podOf(t, `spec: {ephemeralContainers: [{name: debugsidecar-x}, {name: debugsidecar-y}, {name: debugsidecar}]}`)
	result := evaluate(t, newEvaluator(t), policies.Request{Modes: enforce(policies.Baseline), Pod: pod,
		Reserved: map[string]policies.Identity{"debugsidecar-x": {Why: "its image differs"}}})
	wantShorts(t, result,
		short{"reserved-names", "debugsidecar-x", "spec.ephemeralContainers[0].name", policies.Baseline, policies.Deny},
		short{"reserved-names", "debugsidecar-y", "spec.ephemeralContainers[1].name", policies.Baseline, policies.Deny})
	for i, why := range []string{": its image differs", ": this one is unknown to it"} {
		if !strings.HasSuffix(result.Violations[i].Message, why) {
			t.Errorf("the message doesn't end with %q: %s", why, result.Violations[i].Message)
		}
	}
}

func TestEvaluationEndsWithItsContext(t *testing.T) {
	evaluator := newEvaluator(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := evaluator.Evaluate(cancelled, policies.Request{Modes: enforce(policies.Restricted), Pod: ingestPod(t)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, want that of the context", err)
	}

	// A pod that takes long: its ports are judged one by one.
	pod := &facts.Pod{}
	pod.Spec.Containers = []facts.Container{{Name: "app"}}
	for port := range int32(60000) {
		pod.Spec.Containers[0].Ports = append(pod.Spec.Containers[0].Ports, corev1.ContainerPort{HostPort: 1 + port})
	}
	late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = evaluator.Evaluate(late, policies.Request{Modes: enforce(policies.Restricted), Pod: pod})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v, want that of the context", err)
	}
}

func TestEvaluationsLeaveNothingBehindForEachOther(t *testing.T) {
	evaluator := newEvaluator(t)
	bad, good := podOf(t, `spec: {hostPID: true, containers: [{name: app}]}`), ingestPod(t)
	for range 3 {
		if result := evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Restricted), Pod: good}); len(result.Violations) != 0 {
			t.Errorf("%+v", result.Violations)
		}
		if !evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Baseline), Pod: bad}).Denied() {
			t.Error("not denied")
		}
	}
}

func TestMessagesStaySmall(t *testing.T) {
	pod := &facts.Pod{Metadata: facts.Metadata{Annotations: map[string]string{
		"container.apparmor.security.beta.kubernetes.io/app": strings.Repeat("é", 100_000),
	}}}
	add := make([]corev1.Capability, 5000)
	for i := range add {
		add[i] = corev1.Capability(strings.Repeat("X", i))
	}
	pod.Spec.Containers = []facts.Container{{Name: "app", SecurityContext: &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: add}}}}
	result := evaluate(t, newEvaluator(t), policies.Request{Modes: enforce(policies.Baseline), Pod: pod})
	if len(result.Violations) != 2 {
		t.Fatalf("%d violations", len(result.Violations))
	}
	for _, v := range result.Violations {
		if len(v.Message)+len(v.Fix) > 6000 {
			t.Errorf("%s: %d bytes", v.Rule, len(v.Message)+len(v.Fix))
		}
	}
	if !strings.Contains(result.Violations[1].Message, " and 4980 more;") {
		t.Errorf("the message doesn't say how many more: %s", result.Violations[1].Message)
	}
}

func deleted() *metav1.Time { return &metav1.Time{Time: time.Unix(1, 0)} }
