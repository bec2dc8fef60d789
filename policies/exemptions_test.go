package policies_test

import (
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/policies"
)

const exempting = `
exemptions:
  users: [alice]
  serviceAccounts: [ci/deployer]
  namespaces: [storage]
  runtimeClasses: [kata]
namespaces:
  closed: {exemptions: {users: [], serviceAccounts: [], runtimeClasses: []}}
  labs: {exemptions: {users: [bob]}}
`

func account(namespace, name string) policies.User {
	return policies.User{Name: "system:serviceaccount:" + namespace + ":" + name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}}
}

func TestAnExemptionIsForWhatItNamesExactly(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, exempting))
	user := func(name string, groups ...string) policies.User { return policies.User{Name: name, Groups: groups} }
	forged := account("ci", "deployer")
	forged.Groups = []string{"system:authenticated"}
	half := account("ci", "deployer")
	half.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:other"}
	for name, c := range map[string]struct {
		namespace string
		user      policies.User
		class     string
		path      string
		by        string // empty: denied
	}{
		"nobody":                       {"media", user("carol"), "", "", ""},
		"no user at all":               {"media", user(""), "", "", ""},
		"a user":                       {"media", user("alice"), "", "", `exemptions.users has "alice"`},
		"a user in other letters":      {"media", user("Alice"), "", "", ""},
		"a longer name":                {"media", user("alice@evil.example"), "", "", ""},
		"a name with a space":          {"media", user("alice "), "", "", ""},
		"a group with the user's name": {"media", user("carol", "alice"), "", "", ""},
		"a service account":            {"media", account("ci", "deployer"), "", "", `exemptions.serviceAccounts has "ci/deployer"`},
		"another namespace's":          {"media", account("evil", "deployer"), "", "", ""},
		"another one":                  {"media", account("ci", "default"), "", "", ""},
		"a name without a service account's groups":     {"media", forged, "", "", ""},
		"with the groups of another namespace":          {"media", half, "", "", ""},
		"a user called as a service account is written": {"media", user("ci/deployer", "system:serviceaccounts", "system:serviceaccounts:ci"), "", "", ""},
		"a namespace":                            {"storage", user("carol"), "", "", `exemptions.namespaces has "storage"`},
		"a RuntimeClass":                         {"media", user("carol"), "kata", "", `exemptions.runtimeClasses has "kata"`},
		"another RuntimeClass":                   {"media", user("carol"), "kata-qemu", "", ""},
		"a user in a namespace of its own lists": {"closed", user("alice"), "", "", ""},
		"a RuntimeClass there":                   {"closed", user("alice"), "kata", "", ""},
		"a namespace's own user":                 {"labs", user("bob"), "", "", `exemptions.users has "bob"`},
		"which replaces the others":              {"labs", user("alice"), "", "", ""},
		"but not the other lists":                {"labs", user("alice"), "kata", "", `exemptions.runtimeClasses has "kata"`},
		"a namespace's own user elsewhere":       {"media", user("bob"), "", "", ""},
		"a workload's user":                      {"media", user("alice"), "", "spec.template.spec", ""},
		"a workload's RuntimeClass":              {"media", user("alice"), "kata", "spec.template.spec", `exemptions.runtimeClasses has "kata"`},
		"a workload's namespace":                 {"storage", user("alice"), "", "spec.template.spec", `exemptions.namespaces has "storage"`},
	} {
		pod := withPort(t)
		if c.class != "" {
			pod.Spec.RuntimeClassName = &c.class
		}
		result := evaluate(t, evaluator, policies.Request{Namespace: c.namespace, User: c.user, Modes: enforce(policies.Baseline), Pod: pod, FieldPath: c.path})
		switch {
		case c.by == "" && (!result.Denied() || result.Exemption != nil):
			t.Errorf("%s: %+v, exemption %v", name, result.Violations, result.Exemption)
		case c.by != "" && (len(result.Violations) != 0 || result.Exemption == nil || result.Exemption.String() != c.by):
			t.Errorf("%s: %+v, exemption %v, want %s", name, result.Violations, result.Exemption, c.by)
		case c.by != "" && (len(result.Exemption.Violations) != 1 || result.Exemption.Violations[0].Action != policies.Deny):
			t.Errorf("%s: what it let through is %+v", name, result.Exemption.Violations)
		}
	}
}

func TestAnExemptionThatLetsNothingThroughIsNotReported(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, exempting))
	for name, pod := range map[string]string{
		"a pod that passes": `spec: {containers: [{name: app}]}`,
	} {
		result := evaluate(t, evaluator, policies.Request{User: policies.User{Name: "alice"}, Modes: enforce(policies.Baseline), Pod: podOf(t, pod)})
		if result.Exemption != nil || len(result.Violations) != 0 {
			t.Errorf("%s: %+v", name, result)
		}
	}
}

func TestNoExemptionCountsForOurReservedNames(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, exempting))
	pod := podOf(t, `
metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/debugsidecar-full: unconfined}}
spec:
  hostPID: true
  runtimeClassName: kata
  containers: [{name: app, securityContext: {privileged: true}}]
  initContainers: [{name: debugsidecar-full, securityContext: {privileged: true, capabilities: {add: [BPF]}}}]
`)
	drifted := map[string]policies.Identity{"debugsidecar-full": {Drifted: true}}
	for name, reserved := range map[string]map[string]policies.Identity{"forged": nil, "drifted": drifted} {
		result := evaluate(t, evaluator, policies.Request{Namespace: "storage", User: policies.User{Name: "alice"}, Modes: enforce(policies.Baseline), Pod: pod, Reserved: reserved})
		if !result.Denied() || len(result.Violations) != 4 {
			t.Errorf("%s: %+v", name, result.Violations)
		}
		for _, v := range result.Violations {
			if v.Container != "debugsidecar-full" {
				t.Errorf("%s: %+v", name, v)
			}
		}
		if result.Exemption == nil || len(result.Exemption.Violations) != 2 {
			t.Errorf("%s: let through: %+v", name, result.Exemption)
		}
	}
}

func TestWrongExemptionsAreRefusedWhenParametersAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"exemptions:\n  groups: [a]":                                                     "line 2: exemptions.groups: unknown field; known here are users, serviceAccounts, namespaces, runtimeClasses",
		"exemptions: {users: alice}":                                                     "exemptions.users: want a list",
		"exemptions: {users: [{a: b}]}":                                                  "exemptions.users[0]: want a single value",
		"exemptions: {users: [\"*\"]}":                                                   `exemptions.users[0]: "*": name each of them; there is no wildcard`,
		"exemptions: {namespaces: [\"\"]}":                                               "there is no wildcard",
		"exemptions: {users: [\"system:serviceaccount:a:b\"]}":                           "want it in serviceAccounts, as namespace/name",
		"exemptions: {users: [\"system:anonymous\"]}":                                    "whoever has not said who they are",
		"exemptions: {users: [\"system:kube-controller-manager\"]}":                      "makes the pods of everybody's workloads",
		"exemptions: {serviceAccounts: [kube-system/replicaset-controller]}":             "makes the pods of everybody's workloads",
		"exemptions: {serviceAccounts: [deployer]}":                                      "want namespace/name",
		"exemptions: {serviceAccounts: [a/b/c]}":                                         "want namespace/name",
		"exemptions: {serviceAccounts: [\"system:serviceaccount:a:b\"]}":                 "want namespace/name",
		"namespaces: {a: {exemptions: {namespaces: [b]}}}":                               "namespaces.a.exemptions.namespaces: which namespace it is about is said above",
		"namespaces: {a: {exemptions: {serviceAccounts: [kube-system/job-controller]}}}": "makes the pods of everybody's workloads",
	} {
		_, err := policies.ParseParameters([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: the error is %v, want %q", text, err, want)
		}
	}
}
