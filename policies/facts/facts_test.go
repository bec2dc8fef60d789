package facts

import (
	"fmt"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func podOf(t *testing.T, text string) *Pod {
	t.Helper()
	pod := &Pod{}
	if err := yaml.Unmarshal([]byte(text), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestTheDocumentHoldsDistinctValues(t *testing.T) {
	pod := podOf(t, `
metadata: {annotations: {a: b, container.apparmor.security.beta.kubernetes.io/b: unconfined, container.apparmor.security.beta.kubernetes.io/a: runtime/default}}
spec:
  os: {name: linux}
  hostUsers: true
  hostPID: true
  securityContext: {runAsUser: 0, sysctls: [{name: a.b}, {name: a.b}], windowsOptions: {hostProcess: false}}
  volumes: [{name: a, emptyDir: {}}, {name: b, emptyDir: {}}, {name: c, hostPath: {path: /}}, {name: d}]
  containers:
  - name: one
    ports: [{hostPort: 80}, {hostPort: 80, protocol: UDP}, {containerPort: 1}]
    livenessProbe: {httpGet: {host: a}, tcpSocket: {host: b}}
    lifecycle: {preStop: {httpGet: {host: a}}}
    securityContext: {privileged: true, runAsUser: 0, procMount: Default, capabilities: {add: [B, A], drop: [Z, X, Z]}, seLinuxOptions: {type: t, user: u, role: r, level: l}}
  - name: two
    securityContext: {privileged: false, capabilities: {add: [A], drop: [X, Z]}, seccompProfile: {type: Localhost}, appArmorProfile: {type: Localhost}, seLinuxOptions: {level: s0}}
  initContainers: [{name: debugsidecar-three, securityContext: {capabilities: {add: [A, C]}}}, {name: debugsidecar-four}]
`)
	identify := func(name string) (bool, []corev1.Capability) {
		return name == "debugsidecar-three", []corev1.Capability{"C"}
	}
	within := func(level string) bool { return level == "s0" }
	want := ast.MustParseTerm(`{
		"windows": false, "userNamespace": false, "parameters": {},
		"privileged": {true, false}, "hostNamespaces": {"hostPID"}, "hostPorts": {80},
		"capabilitiesAdd": {"A", "B"}, "capabilitiesGranted": {"C"}, "capabilitiesDrop": {{"X", "Z"}, set()},
		"selinuxType": {"t"}, "selinuxUser": {"u"}, "selinuxRole": {"r"}, "selinuxLevel": {"l", "s0"}, "selinuxLevelWithin": {"s0"},
		"volumeTypes": {"emptyDir", "hostPath", "unknown"}, "sysctls": {"a.b"},
		"appArmorTypes": {"Localhost"}, "appArmorAnnotations": {"unconfined", "runtime/default"},
		"allowPrivilegeEscalation": {null}, "runAsNonRoot": {null}, "runAsUser": {0},
		"seccompTypes": {null, "Localhost"}, "procMount": {"Default"}, "hostProcess": {false},
		"probeHosts": {"a", "b"}, "reservedNames": {"debugsidecar-four"},
	}`)
	got := Of(pod, Environment{Identify: identify, Within: within}).Document(ast.ObjectTerm())
	if got.Compare(want.Value) != 0 {
		t.Errorf("the document is\n%v\nwant\n%v", got, want)
	}
}

func TestContainersInheritFromThePod(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		want       []string // value of seccompTypes or runAsNonRoot at a field
	}{
		{"the pod sets both", `{securityContext: {runAsNonRoot: true, seccompProfile: {type: Localhost}}, containers: [{name: a}]}`, []string{
			`runAsNonRoot [true] at spec.securityContext.runAsNonRoot`,
			`seccompTypes ["Localhost"] at spec.securityContext.seccompProfile.type`,
		}},
		{"nobody sets them", `{containers: [{name: a}]}`, []string{
			`runAsNonRoot [] at spec.containers[0].securityContext.runAsNonRoot`,
			`seccompTypes [] at spec.containers[0].securityContext.seccompProfile.type`,
		}},
		{"a container overrides", `{securityContext: {runAsNonRoot: false, seccompProfile: {type: ""}}, containers: [{name: a, securityContext: {runAsNonRoot: true, seccompProfile: {type: Localhost}}}]}`, []string{
			`runAsNonRoot [false] at spec.securityContext.runAsNonRoot`,
			`seccompTypes [""] at spec.securityContext.seccompProfile.type`,
			`runAsNonRoot [true] at spec.containers[0].securityContext.runAsNonRoot`,
			`seccompTypes ["Localhost"] at spec.containers[0].securityContext.seccompProfile.type`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			Of(podOf(t, "spec: "+c.spec), Environment{}).All(func(f Fact) bool {
				if f.Kind == RunAsNonRoot || f.Kind == SeccompTypes {
					got = append(got, fmt.Sprintf("%s %v at %s", f.Kind, f.Value.Names(), f.Field("spec")))
				}
				return true
			})
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("facts are\n%q\nwant\n%q", got, c.want)
			}
		})
	}
}

func TestValuesSurviveTheJourneyThroughRego(t *testing.T) {
	for _, value := range []Value{
		{}, boolValue(true), boolValue(false), numberValue(0), numberValue(-1), numberValue(1 << 40),
		stringValue(""), stringValue("x"), stringValue("ALL"),
		listValue([]string{}), listValue([]string{"ALL"}), listValue([]string{"B", "A", "B"}), listValue([]string{""}), listValue([]string{"", "A"}),
	} {
		back, err := ValueOf(value.term())
		if err != nil || back != value {
			t.Errorf("%v comes back as %v, %v", value, back, err)
		}
	}
	for _, text := range []string{"1.5", "{1}", "[1]", "{}"} {
		if value, err := ValueOf(ast.MustParseTerm(text)); err == nil {
			t.Errorf("%s is taken for %v", text, value)
		}
	}
}

func TestManyValuesStayDistinct(t *testing.T) {
	var d distinct
	for range 3 {
		for n := range int64(100) {
			d.add(numberValue(n))
		}
	}
	if len(d.values) != 100 {
		t.Errorf("%d distinct values, want 100", len(d.values))
	}
	d.reset()
	d.add(numberValue(1))
	if len(d.values) != 1 {
		t.Errorf("%d distinct values after a reset, want 1", len(d.values))
	}
}
