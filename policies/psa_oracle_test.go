package policies_test

import (
	"context"
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psadmission "k8s.io/pod-security-admission/admission"
	psconfig "k8s.io/pod-security-admission/admission/api"
	psapi "k8s.io/pod-security-admission/api"
	psmetrics "k8s.io/pod-security-admission/metrics"
	psa "k8s.io/pod-security-admission/policy"

	"github.com/debugsidecar/debugsidecar/policies"
)

// oracle is Pod Security, asked for what one of our rules stands for.
type oracle struct {
	checks map[string][]psa.Check // by the id of our rule
	rules  []string               // that have checks, in order
	// overridden says which checks another one stands in for at restricted.
	overridden map[psa.CheckID]bool
	admissions map[policies.Level]*psadmission.Admission
}

func newOracle(t testing.TB) *oracle {
	t.Helper()
	rules, err := policies.Rules()
	if err != nil {
		t.Fatal(err)
	}
	o := &oracle{checks: map[string][]psa.Check{}, overridden: map[psa.CheckID]bool{}, admissions: map[policies.Level]*psadmission.Admission{}}
	for _, rule := range rules {
		if len(rule.Checks) > 0 {
			o.rules = append(o.rules, rule.ID)
		}
		for _, check := range psa.DefaultChecks() {
			if slices.Contains(rule.Checks, string(check.ID)) {
				o.checks[rule.ID] = append(o.checks[rule.ID], check)
				for _, id := range check.Versions[len(check.Versions)-1].OverrideCheckIDs {
					o.overridden[id] = true
				}
			}
		}
	}
	for _, level := range []policies.Level{policies.Baseline, policies.Restricted} {
		o.admissions[level] = newAdmission(t, level)
	}
	return o
}

// refuses returns why Pod Security's checks for one of our rules refuse a pod at
// a level, empty if they don't.
func (o *oracle) refuses(level policies.Level, rule string, pod *corev1.Pod) string {
	for _, check := range o.checks[rule] {
		switch {
		case level != policies.Baseline && level != policies.Restricted:
			continue
		case level == policies.Baseline && check.Level == psapi.LevelRestricted:
			continue
		case level == policies.Restricted && o.overridden[check.ID]:
			continue
		}
		if answer := check.Versions[len(check.Versions)-1].CheckPod(&pod.ObjectMeta, &pod.Spec); !answer.Allowed {
			return answer.ForbiddenReason + ": " + answer.ForbiddenDetail
		}
	}
	return ""
}

// action is what a rule's checks lead to under the modes of a namespace, empty
// for nothing.
func (o *oracle) action(modes policies.Modes, rule string, pod *corev1.Pod) (policies.Action, string) {
	for _, mode := range []struct {
		level  policies.Level
		action policies.Action
	}{{modes.Enforce, policies.Deny}, {modes.Warn, policies.Warn}, {modes.Audit, policies.Audit}} {
		if why := o.refuses(mode.level, rule, pod); why != "" {
			return mode.action, why
		}
	}
	return "", ""
}

// update asks the admission plugin itself.
func (o *oracle) update(level policies.Level, oldPod, newPod *corev1.Pod) (allowed bool, why string) {
	pods := corev1.SchemeGroupVersion.WithResource("pods")
	response := o.admissions[level].Validate(context.Background(), &psapi.AttributesRecord{
		Namespace: "cameras", Name: newPod.Name, Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Resource: pods,
		Operation: admissionv1.Update, Object: newPod, OldObject: oldPod,
	})
	if response.Result != nil {
		why = response.Result.Message
	}
	return response.Allowed, why
}

// newAdmission is the plugin for namespaces that enforce a level.
func newAdmission(t testing.TB, level policies.Level) *psadmission.Admission {
	t.Helper()
	evaluator, err := psa.NewEvaluator(psa.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &psadmission.Admission{
		Configuration: &psconfig.PodSecurityConfiguration{Defaults: psconfig.PodSecurityDefaults{
			Enforce: string(level), EnforceVersion: "latest", Audit: "privileged", AuditVersion: "latest", Warn: "privileged", WarnVersion: "latest",
		}},
		Evaluator:       evaluator,
		Metrics:         silent{},
		NamespaceGetter: unlabelled{},
		PodLister:       unlabelled{},
	}
	if err := a.CompleteConfiguration(); err != nil {
		t.Fatal(err)
	}
	if err := a.ValidateConfiguration(); err != nil {
		t.Fatal(err)
	}
	return a
}

// silent counts nothing.
type silent struct{}

func (silent) RecordEvaluation(psmetrics.Decision, psapi.LevelVersion, psmetrics.Mode, psapi.Attributes) {
}
func (silent) RecordExemption(psapi.Attributes)   {}
func (silent) RecordError(bool, psapi.Attributes) {}

// unlabelled is a cluster whose namespaces have no labels and no pods.
type unlabelled struct{}

func (unlabelled) GetNamespace(_ context.Context, name string) (*corev1.Namespace, error) {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
}

func (unlabelled) ListPods(context.Context, string) ([]*corev1.Pod, error) { return nil, nil }
