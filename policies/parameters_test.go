package policies_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

func parse(t *testing.T, text string) *policies.Parameters {
	t.Helper()
	p, err := policies.ParseParameters([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// withPort is a pod that has a host port, and nothing else against it at
// baseline.
func withPort(t testing.TB) *facts.Pod {
	return podOf(t, `spec: {containers: [{name: rtsp, ports: [{containerPort: 8554, hostPort: 8554}]}]}`)
}

func TestParametersChangeWhatARuleAllows(t *testing.T) {
	pod := podOf(t, `
spec:
  securityContext: {sysctls: [{name: net.core.somaxconn, value: "1024"}], seccompProfile: {type: Unconfined}}
  containers:
  - name: rtsp
    ports: [{containerPort: 8554, hostPort: 8554}, {containerPort: 8000, hostPort: 30017}]
    securityContext:
      capabilities: {add: [NET_RAW]}
      seLinuxOptions: {type: camera_t}
`)
	evaluator := newEvaluator(t)
	request := policies.Request{Modes: enforce(policies.Baseline), Pod: pod}
	if rules := rulesOf(evaluate(t, evaluator, request)); !slices.Equal(rules, []string{"capabilities", "host-ports", "seccomp", "selinux", "sysctls"}) {
		t.Fatalf("with the defaults the rules %v refuse", rules)
	}
	evaluator.SetParameters(parse(t, `
capabilities: {allowedAdd: [NET_RAW]}
selinux: {allowedTypes: [container_t, camera_t]}
hostPorts: {allowed: [8554, 30000-30100]}
sysctls: {allowed: [net.core.somaxconn]}
seccomp: {allowedTypes: [RuntimeDefault, Unconfined]}
`))
	if result := evaluate(t, evaluator, request); len(result.Violations) != 0 {
		t.Errorf("with the parameters: %+v", result.Violations)
	}
	evaluator.SetParameters(nil)
	if !evaluate(t, evaluator, request).Denied() {
		t.Error("nil did not bring the defaults back")
	}
}

func TestANamespaceMayDiffer(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, `
hostPorts: {allowed: [554]}
rules: {host-ports: {mode: warn}}
namespaces:
  cameras: {hostPorts: {allowed: [8554]}}
  offices: {rules: {host-ports: {mode: enforce}}}
  labs: {rules: {host-ports: {mode: audit}}}
  attic:
`))
	for namespace, want := range map[string]policies.Action{
		"cameras": "", "offices": policies.Deny, "labs": policies.Audit, "attic": policies.Warn, "elsewhere": policies.Warn,
	} {
		result := evaluate(t, evaluator, policies.Request{Namespace: namespace, Modes: enforce(policies.Baseline), Pod: withPort(t)})
		var got policies.Action
		if len(result.Violations) > 0 {
			got = result.Violations[0].Action
		}
		if got != want {
			t.Errorf("in %s the action is %q, want %q", namespace, got, want)
		}
	}
}

func TestARuleCanBeSwitchedOff(t *testing.T) {
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parse(t, `rules: {host-ports: {mode: off}}`))
	modes := policies.Modes{Enforce: policies.Baseline, Warn: policies.Baseline, Audit: policies.Baseline}
	if result := evaluate(t, evaluator, policies.Request{Modes: modes, Pod: withPort(t)}); len(result.Violations) != 0 {
		t.Errorf("violations: %+v", result.Violations)
	}
}

func TestDefaultParametersAreWhatNoParametersMean(t *testing.T) {
	for _, text := range []string{policies.DefaultParameters(), "", "# nothing\n", "---\n", "rules:\nnamespaces:\nhostPorts:\n"} {
		evaluator := newEvaluator(t)
		evaluator.SetParameters(parse(t, text))
		result := evaluate(t, evaluator, policies.Request{Modes: enforce(policies.Baseline), Pod: withPort(t)})
		if len(result.Violations) != 1 {
			t.Errorf("with %q: %+v", text, result.Violations)
		}
	}
}

func TestWrongParametersAreRefusedByLineAndField(t *testing.T) {
	for text, want := range map[string]string{
		"hostPort: {}":                   "line 1: hostPort: unknown field; known here are capabilities, selinux, hostPorts, sysctls, seccomp, volumes, rules, exemptions, namespaces",
		"capabilities:\n  allowedAd: []": "line 2: capabilities.allowedAd: unknown field; known here are allowedAdd, allowedAddRestricted, images, trim",
		"capabilities:\n  allowedAdd:\n  - CHOWN\n  - CAP_NET_RAW":     `line 4: capabilities.allowedAdd[1]: "CAP_NET_RAW": want NET_RAW, without CAP_`,
		"capabilities: {allowedAdd: [chown]}":                          `line 1: capabilities.allowedAdd[0]: "chown": want a capability such as NET_RAW`,
		"capabilities: {allowedAdd: CHOWN}":                            "line 1: capabilities.allowedAdd: want a list",
		"capabilities: {allowedAdd: [[CHOWN]]}":                        "line 1: capabilities.allowedAdd[0]: want a single value",
		"capabilities: {allowedAdd: [null]}":                           "line 1: capabilities.allowedAdd[0]: want a single value",
		"selinux: {allowedTypes: [Container]}":                         "want an SELinux type such as container_t",
		"hostPorts: {allowed: [0]}":                                    "want a port from 1 to 65535",
		"hostPorts: {allowed: [70000]}":                                "want a port from 1 to 65535",
		"hostPorts: {allowed: [9-5]}":                                  "want a port from 1 to 65535",
		"hostPorts: {allowed: [a-b]}":                                  "want a port from 1 to 65535",
		"sysctls: {allowed: [somaxconn]}":                              "want a sysctl such as net.core.somaxconn",
		"seccomp: {allowedTypes: [runtime/default]}":                   "want one of RuntimeDefault, Localhost, Unconfined",
		"volumes: {allowedTypes: [hostpath]}":                          "line 1: volumes.allowedTypes[0]: \"hostpath\": want one of configMap, ",
		"rules:\n  priviledged: {mode: off}":                           "line 2: rules.priviledged: unknown rule; known are apparmor, capabilities, ",
		"rules: {privileged: {mode: on}}":                              `line 1: rules.privileged.mode: "on": want one of enforce, warn, audit, off`,
		"rules: {privileged: {level: off}}":                            "line 1: rules.privileged.level: unknown field; known here is mode",
		"rules: {privileged: off}":                                     "line 1: rules.privileged: want a mapping",
		"namespaces:\n  a:\n    namespaces: {}":                        "line 3: namespaces.a.namespaces: unknown field; known here are capabilities, selinux, hostPorts, sysctls, seccomp, volumes, rules, exemptions",
		"namespaces: [a]":                                              "line 1: namespaces: want a mapping",
		"hostPorts: {}\nhostPorts: {}":                                 "line 2: hostPorts: set twice",
		"- a":                                                          "line 1: want a mapping of names to values",
		"a: [":                                                         "line 1: ",
		"a: {}\n---\nb: {}":                                            "more than one YAML document",
		"hostPorts: {x: 1}\nrules: {y: {}}":                            "line 1: hostPorts.x: unknown field; known here are allowed; line 2: rules.y: unknown rule",
		"x: &x {allowed: [9999999]}\nhostPorts: *x":                    `hostPorts.allowed[0]: "9999999": want a port`,
		"hostPorts: {<<: {allowed: [1]}}":                              "hostPorts.<<: unknown field",
		"namespaces:\n  a:\n    hostPorts:\n      allowed:\n      - x": `line 5: namespaces.a.hostPorts.allowed[0]: "x": want a port`,
	} {
		_, err := policies.ParseParameters([]byte(text))
		if err == nil {
			t.Errorf("%q is accepted", text)
			continue
		}
		if !strings.HasPrefix(err.Error(), "reading parameters: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: the error is %q, want %q", text, err, want)
		}
	}
}

func TestParametersMayChangeDuringEvaluations(t *testing.T) {
	evaluator := newEvaluator(t)
	open, closed := parse(t, `hostPorts: {allowed: [1-65535]}`), parse(t, `hostPorts: {allowed: []}`)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			pod := withPort(t)
			for range 200 {
				result, err := evaluator.Evaluate(t.Context(), policies.Request{Modes: enforce(policies.Baseline), Pod: pod})
				if err != nil || len(result.Violations) > 1 {
					t.Errorf("%+v, %v", result, err)
					return
				}
				if len(result.Violations) == 1 && !strings.Contains(result.Violations[0].Message, "host ports: none") {
					t.Errorf("judged by one set of parameters, described by another: %s", result.Violations[0].Message)
					return
				}
			}
		})
	}
	for i := range 500 {
		evaluator.SetParameters([]*policies.Parameters{open, closed, nil}[i%3])
	}
	group.Wait()
}

func FuzzParseParameters(f *testing.F) {
	f.Add([]byte(policies.DefaultParameters()))
	f.Add([]byte("namespaces: {a: {rules: {privileged: {mode: off}}}}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := policies.ParseParameters(text); (p == nil) == (err == nil) {
			t.Errorf("parameters %v with error %v", p, err)
		}
	})
}

// rulesOf returns the ids of the rules that found something, each once.
func rulesOf(result policies.Result) []string {
	var ids []string
	for _, v := range result.Violations {
		ids = append(ids, v.Rule)
	}
	return slices.Compact(ids)
}
