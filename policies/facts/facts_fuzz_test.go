package facts

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies/internal/podbytes"
)

// FuzzFacts collects the facts of pods made of bytes. Of each pod it holds that
//   - the same pod has the same facts and the same document, always;
//   - a fact's field, looked up in the pod's JSON, holds the fact's value;
//   - the document holds the values of all facts, and none besides;
//   - the document is not much longer than the pod.
func FuzzFacts(f *testing.F) {
	for _, text := range []string{
		`spec: {containers: [{name: a}]}`,
		`spec: {os: {name: windows}, hostPID: true, hostUsers: false, securityContext: {runAsUser: 0, sysctls: [{name: a.b}], seLinuxOptions: {type: spc_t, level: "s0:c1"}}, containers: [{name: debugsidecar-x, securityContext: {capabilities: {add: [BPF, CHOWN], drop: [ALL]}}}]}`,
		`{metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/a: unconfined}}, spec: {volumes: [{name: a, hostPath: {path: /}}, {name: b}], containers: [{name: a, ports: [{hostPort: 80}], livenessProbe: {httpGet: {host: h, port: 1}}, lifecycle: {preStop: {tcpSocket: {host: h, port: 1}}}}], ephemeralContainers: [{name: e, securityContext: {privileged: true, procMount: Unmasked}}]}}`,
	} {
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict([]byte(text), pod); err != nil {
			f.Fatal(err)
		}
		f.Add(podbytes.Encode(pod))
	}
	env := Environment{
		Identify: func(name string) (bool, []corev1.Capability) {
			return strings.HasSuffix(name, "x"), []corev1.Capability{"BPF"}
		},
		OfImage: func(image string) []corev1.Capability { return []corev1.Capability{"NET_RAW"} },
		Within:  func(level string) bool { return level == "s0" },
	}
	parameters := ast.ObjectTerm()
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := json.Marshal(podbytes.NewReader(data).Pod())
		if err != nil {
			t.Fatal(err)
		}
		pod, again := &Pod{}, &Pod{}
		var tree map[string]any
		for _, into := range []any{pod, again, &tree} {
			if err := json.Unmarshal(text, into); err != nil {
				t.Fatal(err)
			}
		}
		facts := Of(pod, env)
		if other := Of(again, env); !reflect.DeepEqual(facts, other) || !facts.Unchanged(other) {
			t.Errorf("the same pod has other facts: %s", text)
		}
		document := facts.Document(parameters)
		if document.Compare(facts.Document(parameters)) != 0 {
			t.Errorf("the same facts have another document: %s", text)
		}
		if length := len(document.String()); length > 3*len(text)+2000 {
			t.Errorf("a pod of %d bytes has a document of %d: %s", len(text), length, text)
		}
		values := map[Kind][]Value{}
		facts.All(func(fact Fact) bool {
			there(t, fact.Value)
			if !slices.Contains(values[fact.Kind], fact.Value) {
				values[fact.Kind] = append(values[fact.Kind], fact.Value)
			}
			if field := fact.Field("spec"); !stands(fact, lookUp(tree, field)) {
				t.Errorf("%s %v does not stand in %s: %s", fact.Kind, fact.Value.Names(), field, text)
			}
			return true
		})
		for _, kind := range Kinds() {
			set := document.(ast.Object).Get(ast.StringTerm(kind.String()))
			if set == nil {
				if len(values[kind]) > 0 {
					t.Errorf("the document lacks %s: %s", kind, text)
				}
				continue
			}
			members := set.Value.(ast.Set).Slice()
			for _, member := range members {
				if value, err := ValueOf(member); err != nil || !slices.Contains(values[kind], value) {
					t.Errorf("%s holds %v, which is no fact (%v): %s", kind, member, err, text)
				}
			}
			if len(members) != len(values[kind]) {
				t.Errorf("%s holds %d values of %d: %s", kind, len(members), len(values[kind]), text)
			}
		}
	})
}

var part = regexp.MustCompile(`^([a-zA-Z]+)(?:\[(\d+)\])?$`)

// lookUp returns what stands at a path in a JSON object, nil for nothing.
func lookUp(tree map[string]any, path string) any {
	if key, is := strings.CutPrefix(path, "metadata.annotations["); is {
		path, tree = strings.TrimSuffix(key, "]"), lookUp(tree, "metadata.annotations").(map[string]any)
		return tree[path]
	}
	var at any = tree
	for name := range strings.SplitSeq(path, ".") {
		match := part.FindStringSubmatch(name)
		object, ok := at.(map[string]any)
		if match == nil || !ok {
			return nil
		}
		at = object[match[1]]
		if match[2] != "" {
			i, _ := strconv.Atoi(match[2])
			list, ok := at.([]any)
			if !ok || i >= len(list) {
				return nil
			}
			at = list[i]
		}
	}
	return at
}

// stands says whether a field that holds found is where the fact may stand.
func stands(fact Fact, found any) bool {
	switch fact.Kind {
	case HostNamespaces:
		return found == true && strings.HasSuffix(fact.Field("spec"), "."+fact.Value.text)
	case VolumeTypes: // the source itself, or the volume where it has none
		return found != nil
	case CapabilitiesAdd, CapabilitiesGranted, CapabilitiesOfImage:
		list, _ := found.([]any)
		return slices.Contains(list, any(fact.Value.text))
	case CapabilitiesDrop:
		list, _ := found.([]any)
		names := []string{}
		for _, name := range list {
			names = append(names, name.(string))
		}
		return fact.Value == listValue(names)
	}
	switch fact.Value.sort {
	case null:
		return found == nil
	case boolean:
		return found == (fact.Value.number == 1)
	case number:
		// JSON's numbers are floats here, which is exact enough to find a mix-up.
		n, is := found.(float64)
		return is && n == float64(fact.Value.number)
	}
	return found == fact.Value.text || found == nil && fact.Value.text == ""
}
