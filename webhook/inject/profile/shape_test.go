package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
	kjson "sigs.k8s.io/json"
)

// careless is a profile whose schema allows nearly everything, in each place
// where a parameter may stand.
const careless = `apiVersion: debugsidecar.io/v1alpha1
kind: Profile
metadata: {name: careless}
spec:
  tiers: [kernel, user]
  parameters:
    type: object
    properties:
      text: {type: string}
      list: {type: array, items: {type: string}}
      object: {type: object, additionalProperties: true}
      number: {type: number}
      flag: {type: boolean}
      secret: {type: object, additionalProperties: true}
      resources: {type: object, additionalProperties: true}
  template: |
    containers:
    - name: debugsidecar-careless
      image: {{ .images.debug }}
      command: [/run]
      args: [first, {{ .params.text }}, {{ .params.list }}, {{ .params.object }}, {{ .port }}, last]
      env:
      - {name: TIER, value: {{ .tier }}}
      - {name: P_TEXT, value: {{ .params.text }}}
      - {name: P_LIST, value: {{ .params.list }}}
      - {name: P_OBJECT, value: {{ .params.object }}}
      - {name: P_NUMBER, value: {{ .params.number }}}
      - {name: P_FLAG, value: {{ .params.flag }}}
      - name: P_SECRET
        valueFrom: {secretKeyRef: {{ .params.secret }}}
      - {name: LAST, value: last}
      resources: {{ .params.resources }}
      securityContext:
        allowPrivilegeEscalation: false
        seccompProfile: {type: RuntimeDefault}
        {{ if eq .tier "kernel" }}
        runAsNonRoot: false
        runAsUser: 0
        capabilities: {drop: [ALL], add: [BPF]}
        {{ else }}
        runAsNonRoot: true
        runAsUser: 65532
        capabilities: {drop: [ALL]}
        {{ end }}
`

func carelessProfile(t interface{ Fatalf(string, ...any) }) *Profile {
	p, err := Load("careless.yaml", []byte(careless), testSettings)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

// shape is all of a sidecar but what parameters may decide.
func shape(s *Sidecar) string {
	c := s.Container.DeepCopy()
	c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool {
		only := corev1.EnvVar{Name: e.Name, Value: e.Value}
		if ref := e.ValueFrom; ref != nil && ref.SecretKeyRef != nil && ref.SecretKeyRef.Optional != nil && *ref.SecretKeyRef.Optional {
			only.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: ref.SecretKeyRef}
		}
		a, _ := json.Marshal(e)
		b, _ := json.Marshal(only)
		return bytes.Equal(a, b) && (strings.HasPrefix(e.Name, "P_") || fromParameter[e.Name])
	})
	for i := range c.Args {
		if c.Name == "debugsidecar-careless" && i >= 1 && i <= 3 {
			c.Args[i] = ""
		}
	}
	c.Resources = corev1.ResourceRequirements{}
	b, err := json.Marshal(partialPod{Containers: []corev1.Container{*c}, Volumes: s.Volumes})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// fromParameter are the variables of the embedded profiles that parameters fill.
var fromParameter = map[string]bool{
	"DEBUGSIDECAR_SOURCE": true, "DEBUGSIDECAR_SOURCE_SECRET": true, "DEBUGSIDECAR_OPEN": true,
	"DEBUGSIDECAR_RTP_PORTS": true, "DEBUGSIDECAR_BUFFER_SECONDS": true, "DEBUGSIDECAR_CONFIDENCE": true, "DEBUGSIDECAR_LOG_LEVEL": true,
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// checkShape renders each variant of the profile with the parameters; it is an
// error, or has the shape that the defaults give.
func checkShape(t failer, p *Profile, text string) {
	t.Helper()
	params, err := p.Params(text)
	if err != nil {
		return
	}
	defaults, err := p.Params("")
	if err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	for _, v := range variantsOf(p.Tiers) {
		for _, resources := range []Resources{AsRendered, RequestsAreLimits, NoneForCPUAndMemory} {
			s, err := p.Render(Input{Variant: v, Params: params, Port: 9400, Resources: resources})
			if err != nil {
				continue
			}
			checkEncoded(t, s)
			checkResources(t, s.Container.Resources)
			want, err := p.Render(Input{Variant: v, Params: defaults, Port: 9400, Resources: resources})
			if err != nil {
				t.Fatalf("the defaults: %v", err)
			}
			if got, want := shape(s), shape(want); got != want {
				t.Fatalf("parameters %q change the shape:\ngot  %s\nwant %s", text, got, want)
			}
		}
	}
}

// checkEncoded fails unless the JSON that goes into the pod says the same as the
// container.
func checkEncoded(t failer, s *Sidecar) {
	t.Helper()
	var back corev1.Container
	strict, err := kjson.UnmarshalStrict(s.ContainerJSON, &back)
	if err != nil || len(strict) > 0 {
		t.Fatalf("reading %s: %v %v", s.ContainerJSON, strict, err)
	}
	if b, _ := json.Marshal(back); !bytes.Equal(b, s.ContainerJSON) || !s.Equals(&back) {
		t.Fatalf("got %s, want %s", b, s.ContainerJSON)
	}
}

func checkResources(t failer, r corev1.ResourceRequirements) {
	t.Helper()
	if len(r.Claims) > 0 {
		t.Fatalf("there are claims: %v", r)
	}
	for _, list := range []corev1.ResourceList{r.Requests, r.Limits} {
		for name, q := range list {
			if name != "cpu" && name != "memory" && name != "ephemeral-storage" || q.Sign() < 0 {
				t.Fatalf("there is %s: %s", name, q.String())
			}
			if limit, ok := r.Limits[name]; ok && q.Cmp(limit) > 0 {
				t.Fatalf("%s %s is above its limit %s", name, q.String(), limit.String())
			}
		}
	}
}

// nasty are values that break out of carelessly built text.
var nasty = []string{
	"", "a", "a b", "\"", "'", "\"]}", "x\n  image: evil:1", "x\n- name: evil\n  image: evil", "x\r\ny", "\t", "{{ .images.debug }}", "{{", "}}",
	"$(HOME)", "$$(HOME)", "$$$(HOME)", "$", "$$", "$(", "$(P_TEXT)", "&a", "*a", "!!binary aGk=", "!!int 1", "# no comment", "a: b", "- a", "| a", "> a", "%YAML 1.1",
	"---\nevil: 1", "...", "null", "~", "true", "yes", "1e3", "0x10", "2020-01-01", ".nan", "<<", "=", "?", "\u2028", "\u0085", "\ufeff", "\ue000params/text\ue001",
	"\ue000port\ue001", "\x00", "\x07", "\u00e9", "\U0001f4f7", "\xff", "\\", "\\n", "</script>", "${HOME}", "`id`", "$(id)", ";id", strings.Repeat("x", 20000), strings.Repeat("$", 20000), strings.Repeat("\x01", 40000),
}

var genText = rapid.Custom(func(t *rapid.T) string {
	var b strings.Builder
	for range rapid.IntRange(0, 4).Draw(t, "parts") {
		if rapid.Bool().Draw(t, "nasty") {
			b.WriteString(rapid.SampledFrom(nasty).Draw(t, "part"))
		} else {
			b.WriteString(rapid.String().Draw(t, "part"))
		}
	}
	return b.String()
})

func genValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.SampledFrom([]string{"text", "text", "number", "bool", "null", "list", "object", "resources", "secret"}).Draw(t, "kind")
		if depth == 0 && (kind == "list" || kind == "object") {
			kind = "text"
		}
		switch kind {
		case "number":
			return rapid.Float64().Draw(t, "number")
		case "bool":
			return rapid.Bool().Draw(t, "bool")
		case "null":
			return nil
		case "list":
			return rapid.SliceOfN(genValue(depth-1), 0, 3).Draw(t, "list")
		case "object":
			return rapid.MapOfN(genText, genValue(depth-1), 0, 3).Draw(t, "object")
		case "resources":
			names := rapid.SampledFrom([]string{"cpu", "memory", "ephemeral-storage", "nvidia.com/gpu", "hugepages-2Mi"})
			quantities := rapid.SampledFrom([]any{"0", "1", "-1", "1u", "100m", "1Gi", "1e3", "1e30", "99999999999999999999Gi", 1, 0.5, "much", nil})
			lists := rapid.MapOfN(names, quantities, 0, 3)
			return map[string]any{"requests": lists.Draw(t, "requests"), "limits": lists.Draw(t, "limits")}
		case "secret":
			return map[string]any{"name": genText.Draw(t, "name"), "key": genText.Draw(t, "key"), "optional": false}
		}
		return genText.Draw(t, "text")
	})
}

func TestParametersNeverChangeTheShape(t *testing.T) {
	profiles := []*Profile{carelessProfile(t)}
	for _, settings := range []Settings{testSettings, withReceivers} {
		set, err := LoadSet("", settings)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range set.Names() {
			p, _ := set.Get(name)
			profiles = append(profiles, p)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(profiles).Draw(t, "profile")
		values := map[string]any{}
		for name, property := range p.params.schema.Properties {
			if !rapid.Bool().Draw(t, name) {
				continue
			}
			value := genValue(2)
			if len(property.Enum) > 0 && rapid.Bool().Draw(t, "fits") {
				value = rapid.SampledFrom(property.Enum)
			}
			values[name] = value.Draw(t, name)
		}
		text, err := json.Marshal(values)
		if err != nil {
			return // NaN or infinite
		}
		checkShape(t, p, string(text))
	})
}

func TestUnsetParametersLeaveNoVariable(t *testing.T) {
	p := carelessProfile(t)
	params, err := p.Params("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Render(Input{Variant: Variant{User, Native}, Params: params, Port: 9400})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range s.Container.Env {
		names = append(names, e.Name)
	}
	if want := []string{"TIER", "LAST"}; !slices.Equal(names, want) {
		t.Errorf("got variables %v, want %v", names, want)
	}
	if got, want := fmt.Sprintf("%q", s.Container.Args), `["first" "" "" "" "9400" "last"]`; got != want {
		t.Errorf("got arguments %s, want %s", got, want)
	}
}

// FuzzParametersKeepTheShape takes the text of the annotation.
func FuzzParametersKeepTheShape(f *testing.F) {
	p := carelessProfile(f)
	set, err := LoadSet("", testSettings)
	if err != nil {
		f.Fatal(err)
	}
	probe, _ := set.Get("video-probe")
	f.Add(someParameters)
	for i, text := range nasty {
		if len(text) > 100 {
			continue // the tests above have long ones
		}
		name := []string{"text", "list", "object", "secret", "resources", "source"}[i%6]
		f.Add(name + ": " + text)
		quoted, err := toYAML(map[string]any{name: text})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(quoted)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkShape(t, p, text)
		checkShape(t, probe, text)
		if len(text) <= maxParameters/8 {
			checkLiteral(t, p, text)
		}
	})
}
