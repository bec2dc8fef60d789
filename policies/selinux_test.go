package policies_test

import (
	"strings"
	"testing"

	"github.com/debugsidecar/debugsidecar/policies"
)

const openShift = policies.OpenShiftRangeAnnotation

func TestAPodKeepsToItsNamespacesRange(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, `
namespaces:
  cameras: {selinux: {range: "s0:c26,c5"}}
  studio: {selinux: {range: "s0-s0:c10.c19"}}
  tenants: {selinux: {rangeFromOpenShift: true}}
  both: {selinux: {range: "s0:c1,c2", rangeFromOpenShift: true}}
`))
	annotated := func(value string) map[string]string { return map[string]string{openShift: value} }
	for _, c := range []struct {
		namespace, level string
		annotations      map[string]string
		want             string // a part of the message; empty where it passes
	}{
		{"cameras", "s0:c5,c26", nil, ""},
		{"cameras", "s0:c26,c5", nil, ""},
		{"cameras", "s0:c26,c5,c5-s0:c5,c26", nil, ""},
		{"cameras", "s0:c5,c27", nil, `is "s0:c5,c27"; rule selinux (baseline) allows only levels within "s0:c5,c26", from the policy's parameter selinux.range`},
		{"cameras", "s0:c5.c26", nil, `only levels within "s0:c5,c26"`},
		{"cameras", "s0-s0:c0.c1023", nil, "only levels within"},
		{"cameras", "s0", nil, "only levels within"},
		{"cameras", "s1:c5,c26", nil, "only levels within"},
		{"cameras", "SystemHigh", nil, "only levels within"},
		{"cameras", "s0:c5,c26 ", nil, "only levels within"},
		{"cameras", "s0:c7", annotated("s0:c7"), "only levels within"}, // nobody asked for the annotation
		{"studio", "s0:c10,c12", nil, ""},
		{"studio", "s0", nil, ""},
		{"studio", "s0:c10,c20", nil, `only levels within "s0-s0:c10.c19"`},
		{"elsewhere", "s0-s0:c0.c1023", annotated("s0:c1"), ""},
		{"elsewhere", "nonsense", nil, ""},
		{"tenants", "s0:c5,c26", annotated("s0:c26,c5"), ""},
		{"tenants", "s0:c5", annotated("s0:c26,c5"), `only levels within "s0:c5,c26", from the namespace's annotation openshift.io/sa.scc.mcs`},
		{"tenants", "s0:c5", nil, "no level, since the namespace has no annotation openshift.io/sa.scc.mcs"},
		{"tenants", "s0:c5", annotated("c5"), `no level, since the namespace's annotation openshift.io/sa.scc.mcs is no range: "c5" is not a sensitivity`},
		{"both", "s0:c1,c2", annotated("s0:c7"), ""},
		{"both", "s0:c7", annotated("s0:c7"), `within "s0:c1,c2"`},
	} {
		for field, pod := range map[string]string{
			"spec.securityContext":                        `{securityContext: {seLinuxOptions: {level: "%"}}, containers: [{name: a}]}`,
			"spec.containers[0].securityContext":          `{containers: [{name: a, securityContext: {seLinuxOptions: {level: "%"}}}]}`,
			"spec.initContainers[0].securityContext":      `{containers: [{name: a}], initContainers: [{name: b, securityContext: {seLinuxOptions: {level: "%"}}}]}`,
			"spec.ephemeralContainers[0].securityContext": `{containers: [{name: a}], ephemeralContainers: [{name: b, securityContext: {seLinuxOptions: {level: "%"}}}]}`,
		} {
			result := evaluate(t, evaluator, policies.Request{
				Namespace: c.namespace, NamespaceAnnotations: c.annotations, Modes: enforce(policies.Baseline),
				Pod: podOf(t, "spec: "+strings.ReplaceAll(pod, "%", c.level)),
			})
			switch {
			case c.want == "" && len(result.Violations) > 0:
				t.Errorf("%s, %s: %+v", c.namespace, c.level, result.Violations)
			case c.want == "":
			case len(result.Violations) != 1 || !result.Denied():
				t.Errorf("%s, %s at %s: %d violations", c.namespace, c.level, field, len(result.Violations))
			default:
				v := result.Violations[0]
				if v.Rule != "selinux" || v.Field != field+".seLinuxOptions.level" || !strings.Contains(v.Message, c.want) || v.Fix != "remove "+v.Field {
					t.Errorf("%s, %s: %+v, want %q", c.namespace, c.level, v, c.want)
				}
			}
		}
	}
}

// A level that was there before the range was is reported; a new one is denied.
func TestOnlyALevelThatAnUpdateAddsIsDenied(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, `selinux: {range: "s0:c1"}`))
	const old = `{name: a, image: a:1, securityContext: {seLinuxOptions: {level: "s0:c9"}}}`
	for added, want := range map[string]policies.Action{"s0:c1": policies.Warn, "s0:c8": policies.Deny} {
		result := evaluate(t, evaluator, policies.Request{
			Modes: enforce(policies.Baseline),
			Old:   podOf(t, `spec: {containers: [`+old+`]}`),
			Pod: podOf(t, `spec: {containers: [`+old+`], ephemeralContainers: [
				{name: debugger, image: b:1, securityContext: {seLinuxOptions: {level: "`+added+`"}}}]}`),
		})
		strongest := policies.Warn
		if result.Denied() {
			strongest = policies.Deny
		}
		if len(result.Violations) == 0 || strongest != want {
			t.Errorf("%s: %+v, want %s", added, result.Violations, want)
		}
	}
}

func TestUsersRolesAndTypesFollowTheirParameters(t *testing.T) {
	pod := podOf(t, `
spec:
  securityContext: {seLinuxOptions: {user: system_u, role: system_r}}
  containers: [{name: a, securityContext: {seLinuxOptions: {type: spc_t}}}]
`)
	evaluator := newEvaluator(t)
	for text, want := range map[string]int{
		"":                                    3,
		"selinux: {allowedUsers: [system_u]}": 2,
		"selinux: {allowedUsers: [system_u], allowedRoles: [system_r]}":                  1,
		"selinux: {allowedUsers: [system_u], allowedRoles: [system_r], allowSpc: true}":  0,
		"selinux: {allowedUsers: [system_u], allowedRoles: [system_r], allowSpc: false}": 1,
		"namespaces: {other: {selinux: {allowSpc: true}}}":                               3,
	} {
		evaluator.SetParameters(parse(t, text))
		result := evaluate(t, evaluator, policies.Request{Namespace: "cameras", Modes: enforce(policies.Baseline), Pod: pod})
		if len(result.Violations) != want {
			t.Errorf("%s: %d violations, want %d: %+v", text, len(result.Violations), want, result.Violations)
		}
	}
}

func TestWrongSELinuxParametersAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"selinux: {allowedTypes: [spc_t]}":                             `selinux.allowedTypes[0]: "spc_t": SELinux does not confine this type: it is allowed by selinux.allowSpc: true alone`,
		"selinux: {allowedUsers: ['a b']}":                             `selinux.allowedUsers[0]: "a b": want a name`,
		"selinux: {allowSpc: spc_t}":                                   "selinux.allowSpc: want true or false",
		"selinux: {range: s0:c5.c1}":                                   "selinux.range: want a range of SELinux levels such as s0:c1,c2: c5.c1: the second category has to be higher",
		"selinux: {range: [s0]}":                                       "selinux.range: want a range",
		"selinux: {range: null}":                                       "selinux.range: want a range",
		"selinux: {fill: true}":                                        "selinux.fill: each namespace opts in by itself: set namespaces.NAME.selinux.fill",
		"selinux: {range: s0:c1}\nnamespaces: {a: {selinux: {x: 1}}}":  "namespaces.a.selinux.x: unknown field; known here are allowedTypes, allowedUsers, allowedRoles, allowSpc, range, rangeFromOpenShift, fill",
		"namespaces:\n  a:\n    selinux: {fill: true}":                 "line 3: namespaces.a: selinux.fill: there is no range to fill in: set selinux.range",
		"namespaces: {a: {selinux: {fill: true, range: \"\"}}}":        "there is no range to fill in",
		"namespaces: {a: {selinux: {fill: yes, range: \"s0:c1\"}}}":    "namespaces.a.selinux.fill: want true or false",
		"namespaces: {a: {selinux: {range: \"s0:c1-s0:c2\"}}}":         "namespaces.a.selinux.range: want a range of SELinux levels such as s0:c1,c2: the second level",
		"selinux: {range: \"s0:c1\"}\nnamespaces: {a: {selinux: [s]}}": "namespaces.a.selinux: want a mapping",
	} {
		if _, err := policies.ParseParameters([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: the error is %v, want %q", text, err, want)
		}
	}
}

func TestWhatHoldsForTheLevelsOfANamespace(t *testing.T) {
	p := parse(t, `
selinux: {range: "s0-s0:c0.c1023"}
namespaces:
  own: {selinux: {range: "s0:c2,c1", fill: true}}
  inherits: {selinux: {fill: true}}
  free: {selinux: {range: ""}}
  openshift: {selinux: {range: "", rangeFromOpenShift: true, fill: true}}
`)
	for _, c := range []struct {
		namespace, annotation, levels string
		confined, fill                bool
	}{
		{"own", "s0:c7", "s0:c1,c2", true, true},
		{"inherits", "", "s0-s0:c0.c1023", true, true},
		{"elsewhere", "", "s0-s0:c0.c1023", true, false},
		{"free", "s0:c7", "", false, false},
		{"openshift", "s0:c7", "s0:c7", true, true},
		{"openshift", "", "", true, true},
	} {
		annotations := map[string]string{}
		if c.annotation != "" {
			annotations[openShift] = c.annotation
		}
		got, levels := p.SELinux(c.namespace, annotations), ""
		if got.Range != nil {
			levels = got.Range.String()
		}
		if levels != c.levels || got.Confined != c.confined || got.Fill != c.fill || (got.Source == "") == c.confined {
			t.Errorf("%s: %q, %+v", c.namespace, levels, got)
		}
	}
}
