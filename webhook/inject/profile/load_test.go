package profile

import (
	"fmt"
	"strings"
	"testing"
)

var testSettings = Settings{Images: map[string]string{"sidecar": "registry.example/sidecar:1", "debug": "registry.example/debug:1"}}

// withReceivers are the same settings, with who is told of alerts.
var withReceivers = Settings{Images: testSettings.Images, Alerts: Alerts{
	Alertmanagers: []string{"http://alertmanager-0.monitoring:9093", "http://alertmanager-1.monitoring:9093"},
	Webhooks:      []string{"https://hooks.example/alerts?camera=all&x='y'"},
}}

// good is a profile that the broken ones are made of.
const good = `apiVersion: debugsidecar.io/v1alpha1
kind: Profile
metadata:
  name: own
spec:
  placement: native
  tiers: [kernel, user]
  hostNetwork: false
  requires:
  - qosClasses: [Guaranteed]
    tolerates: [{key: security, value: sgx}]
  parameters:
    type: object
    additionalProperties: false
    properties:
      text: {type: string, maxLength: 100, pattern: '^[a-z]*$', default: abc}
      numbers:
        type: array
        items: {type: integer}
      secret:
        type: object
        properties: {name: {type: string}, key: {type: string}}
      resources: {type: object, default: {}, properties: {limits: {type: object, default: {memory: 64Mi}, properties: {memory: {type: string}}}}}
  template: |
    containers:
    - name: debugsidecar-own
      image: {{ .images.sidecar }}
      args: [run]

      env:
      - name: TEXT
        value: {{ .params.text }}
      {{ if eq .tier "kernel" }}
      - name: TIER
        value: kernel
      {{ else if eq .placement "native" }}
      - name: PLACE
        value: native
      {{ else }}

      {{ end }}
      - name: SECRET
        valueFrom:
          secretKeyRef: {{ .params.secret }}
      ports:
      - name: metrics
        containerPort: {{ .port }}
      resources: {{ .params.resources }}
      securityContext:
        allowPrivilegeEscalation: false
        seccompProfile: {type: RuntimeDefault}
        {{ if eq .tier "kernel" }}
        runAsNonRoot: false
        runAsUser: 0
        capabilities: {drop: [ALL], add: [BPF, PERFMON, NET_RAW]}
        {{ else }}
        runAsNonRoot: true
        runAsUser: 65532
        capabilities: {drop: [ALL]}
        {{ end }}
      volumeMounts:
      - name: debugsidecar-own-tmp
        mountPath: /tmp
    volumes:
    - name: debugsidecar-own-tmp
      emptyDir: {sizeLimit: 1Mi}
`

func TestGoodProfileLoads(t *testing.T) {
	if _, err := Load("own.yaml", []byte(good), testSettings); err != nil {
		t.Fatal(err)
	}
}

// In each case old is replaced by new; the error has to name the line that has
// HERE in it, and to hold text.
func TestBrokenProfileIsRefusedWithItsLine(t *testing.T) {
	afterArgs := func(lines string) [3]string {
		return [3]string{"      args: [run]\n", "      args: [run]\n" + lines, ""}
	}
	text := func(c [3]string, want string) [3]string { c[2] = want; return c }
	cases := map[string][3]string{ // old, new, text of the error
		// The file.
		"wrong apiVersion":                 {"apiVersion: debugsidecar.io/v1alpha1", "apiVersion: v1 # HERE", "want debugsidecar.io/v1alpha1"},
		"wrong kind":                       {"kind: Profile", "kind: Pod # HERE", "want Profile"},
		"no YAML":                          {"  placement: native\n", "  placement: [native\n  description: # HERE\n", "did not find expected"},
		"key twice":                        {"  placement: native", "  placement: native\n  placement: native # HERE", "already set"},
		"unknown field":                    {"  placement: native", "  placment: native # HERE", `unknown field "spec.placment"`},
		"field of the wrong case":          {"  placement: native", "  Placement: native # HERE", `unknown field "spec.Placement"`},
		"field of the wrong type":          {"  tiers: [kernel, user]", "  tiers: user # HERE", "spec.tiers"},
		"unknown field in requires":        {"  - qosClasses: [Guaranteed]", "  - qosClass: [Guaranteed] # HERE", `unknown field "spec.requires[0].qosClass"`},
		"SELinux type without confinement": {"  hostNetwork: false", "  seLinuxType: spc_t # HERE", "spc_t confines nothing"},
		"SELinux type that is no name":     {"  hostNetwork: false", "  seLinuxType: a:b # HERE", "want a name such as container_t"},
		"SELinux type without kernel tier": {"  tiers: [kernel, user]\n  hostNetwork: false", "  tiers: [user]\n  seLinuxType: camera_t # HERE", "is for the kernel tier"},
		"name of an uppercase letter":      {"  name: own", "  name: Own # HERE", "metadata.name"},
		"name that is too long":            {"  name: own", "  name: " + strings.Repeat("a", 51) + " # HERE", "metadata.name"},
		"no name":                          {"  name: own", "  name: '' # HERE", "metadata.name"},
		"name disabled":                    {"  name: own", "  name: disabled # HERE", "switches injection off"},
		"unknown placement":                {"  placement: native", "  placement: first # HERE", "neither native nor container"},
		"unknown tier":                     {"  tiers: [kernel, user]", "  tiers: [root, user] # HERE", "neither user nor kernel"},
		"no user tier":                     {"  tiers: [kernel, user]", "  tiers: [kernel] # HERE", "user is missing"},
		"tier twice":                       {"  tiers: [kernel, user]", "  tiers: [kernel, user, user] # HERE", "twice"},
		"unknown QoS class":                {"  - qosClasses: [Guaranteed]", "  - qosClasses: [guaranteed] # HERE", "is none of"},
		"taint without a key":              {"{key: security, value: sgx}]", "{value: sgx}] # HERE", "key is missing"},
		"unknown effect":                   {"{key: security, value: sgx}]", "{key: security, effect: Nope}] # HERE", "effect"},
		"requirement of nothing":           {"  - qosClasses: [Guaranteed]\n    tolerates: [{key: security, value: sgx}]", "  - {} # HERE", "names nothing"},
		"unknown Pod Security level":       {"  - qosClasses: [Guaranteed]\n    tolerates: [{key: security, value: sgx}]", "  - podSecurity: [strict] # HERE", "is none of"},
		"condition of nothing":             {"  - qosClasses: [Guaranteed]\n", "  - qosClasses: [Guaranteed]\n    when: {} # HERE\n", "names nothing"},
		"empty template":                   {good[strings.Index(good, "  template: |"):], "  template: '' # HERE\n", "is empty"},
		"template of comments":             {good[strings.Index(good, "  template: |"):], "  template: |\n    # HERE\n", "containers"},
		"template that is a list":          {good[strings.Index(good, "  template: |"):], "  template: |\n    [] # HERE\n", "partial pod"},
		"template on one line":             {good[strings.Index(good, "  template: |"):], "  template: 'containers: [{}]' # HERE\n", "is \"\", want"},
		"folded template":                  {good[strings.Index(good, "  template: |"):], "  template: >\n    containers: 3 # HERE\n", "can't be a value"},
		"schema of another type":           {"    type: object\n    additional", "    type: string # HERE\n    additional", "want object"},
		"schema that allows anything":      {"additionalProperties: false", "additionalProperties: true # HERE", "has to be false"},
		"schema with a misspelt word":      {"maxLength: 100", "maxLenght: 100", "maxLenght: is not allowed in a schema"},
		"schema with an unknown type":      {"text: {type: string,", "text: {type: text,", "want one of"},
		"schema with a bad pattern":        {"'^[a-z]*$'", "'^[a-z*$'", "missing closing ]"},
		"default too long":                 {"maxLength: 100", "maxLength: 2", "does not fit its schema"},
		"default of the wrong type":        {"default: abc", "default: 3", "does not fit its schema"},
		"default below an unset one":       {"        type: array\n        items: {type: integer}", "        type: object\n        properties:\n          below: {type: integer, default: x} # HERE", "does not fit its schema"},
		"required parameter":               {"    additionalProperties: false\n", "    additionalProperties: false\n    required: [secret]\n", "the defaults do not fit"},
		"required unknown parameter":       {"    additionalProperties: false\n", "    additionalProperties: false\n    required: [sekret] # HERE\n", "there is no property sekret"},
		"list of anything":                 {"        type: array\n        items: {type: integer}", "        type: array", "items is missing"},
		"property that is no schema":       {"text: {type: string, maxLength: 100, pattern: '^[a-z]*$', default: abc}", "text: string # HERE", "is not a schema"},
		"schema that is not an object":     {good[strings.Index(good, "    type: object\n"):strings.Index(good, "  template: |")], "    - type: object\n", "is not an object"},

		// The template's language.
		"unclosed action":           {"{{ .images.sidecar }}", "{{ .images.sidecar # HERE", ""},
		"unknown function":          {"{{ .images.sidecar }}", "{{ printf .images.sidecar }} # HERE", `function "printf" is not allowed`},
		"function of ours":          {"{{ .images.sidecar }}", "{{ json .images.sidecar }} # HERE", `function "json" is not allowed`},
		"unclosed if":               {"        {{ end }}\n      volumeMounts:", "      volumeMounts:", "unexpected EOF"},
		"range":                     {"args: [run]", "args: [{{ range .images }}x{{ end }}] # HERE", "range .images is not allowed"},
		"with":                      {"args: [run]", "args: [{{ with .images }}x{{ end }}] # HERE", "with .images is not allowed"},
		"template call":             {"args: [run]", `args: [{{ template "template" . }}] # HERE`, "is not allowed"},
		"define":                    {"args: [run]", "args: [run]\n" + `      {{ define "other" }}x{{ end }} # HERE`, "define and block"},
		"block":                     {"args: [run]", "args: [run]\n" + `      {{ block "other" . }}x{{ end }} # HERE`, "define and block"},
		"break":                     {"args: [run]", "args: [{{ break }}] # HERE", "outside"},
		"variable":                  {"args: [run]", "args: [{{ $x := .tier }}] # HERE", "variables are not allowed"},
		"variable in an if":         {`{{ if eq .tier "kernel" }}` + "\n      - name", `{{ if $x := .tier }} # HERE` + "\n      - name", "variables are not allowed"},
		"root variable":             {"{{ .params.text }}", "{{ $.params.text }} # HERE", "can't be used here"},
		"dot":                       {"{{ .params.text }}", "{{ . }} # HERE", "can't be used here"},
		"left trim marker":          {"{{ .params.text }}", "{{- .params.text }} # HERE", "trim markers"},
		"right trim marker":         {"{{ .params.text }}", "{{ .params.text -}} # HERE", "trim markers"},
		"action over lines":         {"{{ .params.text }}", "{{ # HERE\n        .params.text }}", ""},
		"if over lines":             {`{{ else if eq .placement "native" }}`, "{{ else if eq .placement # HERE\n        \"native\" }}", "one line"},
		"comment over lines":        {"args: [run]", "args: [run]\n      {{/* a HERE\n      b */}}", "one line"},
		"missing image":             {"{{ .images.sidecar }}", "{{ .images.nosuch }} # HERE", "there is no .images.nosuch, only .images.NAME with the names debug, sidecar"},
		"all images":                {"{{ .images.sidecar }}", "{{ .images }} # HERE", "there is no .images, only .images.NAME"},
		"a part of an image":        {"{{ .images.sidecar }}", "{{ .images.sidecar.tag }} # HERE", "there is no .images.sidecar.tag"},
		"unknown receivers":         {"{{ .params.text }}", "{{ .alerts.pagers }} # HERE", "there is no .alerts.pagers, only .alerts.NAME with the names alertmanagers, webhooks"},
		"if on unknown receivers":   {`{{ else if eq .placement "native" }}`, "{{ else if .alerts.pagers }} # HERE", "there is no .alerts.pagers"},
		"receivers misspelt, unset": {"value: native", "value: {{ if .alerts.webhooks }}{{ .alerts.webhook }}{{ end }} # HERE", "there is no .alerts.webhook"},
		"all receivers in an if":    {`{{ else if eq .placement "native" }}`, "{{ else if .alerts }} # HERE", "there is no .alerts, only"},
		"receivers inside a text":   {"args: [run]", "args: ['--to={{ .alerts.webhooks }}'] # HERE", "has to be the whole value"},
		"field of the tier":         {"{{ .params.text }}", "{{ .tier.name }} # HERE", "name"},
		"unknown field of the root": {"{{ .params.text }}", "{{ .namespace }} # HERE", "can't be used here"},
		"all parameters":            {"{{ .params.text }}", "{{ .params }} # HERE", "can't be used here"},
		"a part of a parameter":     {"{{ .params.text }}", "{{ .params.secret.name }} # HERE", "can't be used here"},

		// What depends on a parameter.
		"parameter in an if":               {`{{ if eq .tier "kernel" }}` + "\n      - name", `{{ if .params.text }} # HERE` + "\n      - name", "decides nothing"},
		"parameter in an else if":          {`{{ else if eq .placement "native" }}`, `{{ else if eq .params.text "native" }} # HERE`, "decides nothing"},
		"parameter compared in an action":  {"{{ .params.text }}", "{{ eq .params.text .tier }} # HERE", "stands alone"},
		"parameter in a pipeline":          {"{{ .params.text }}", "{{ .params.text | not }} # HERE", "stands alone"},
		"parameter in parentheses":         {"{{ .params.text }}", "{{ not (.params.text) }} # HERE", "stands alone"},
		"port in an if":                    {`{{ if eq .tier "kernel" }}` + "\n      - name", `{{ if .port }} # HERE` + "\n      - name", "can't be used here"},
		"image":                            {"{{ .images.sidecar }}", "{{ .params.text }} # HERE", "can't depend on a parameter"},
		"command":                          afterArgs("      command: [{{ .params.text }}] # HERE\n"),
		"working directory":                afterArgs("      workingDir: {{ .params.text }} # HERE\n"),
		"termination message path":         afterArgs("      terminationMessagePath: {{ .params.text }} # HERE\n"),
		"pull policy":                      afterArgs("      imagePullPolicy: {{ .params.text }} # HERE\n"),
		"probe":                            afterArgs("      livenessProbe: {httpGet: {port: 1, path: {{ .params.text }}}} # HERE\n"),
		"lifecycle hook":                   afterArgs("      lifecycle: {preStop: {exec: {command: [{{ .params.text }}]}}} # HERE\n"),
		"name of a variable":               {"name: TEXT", "name: {{ .params.text }} # HERE", "can't depend on a parameter"},
		"name of the container":            {"- name: debugsidecar-own\n      image", "- name: {{ .params.text }} # HERE\n      image", "can't depend on a parameter"},
		"whole env":                        {"args: [run]", "envFrom: {{ .params.numbers }} # HERE", "can't depend on a parameter"},
		"uid":                              {"runAsUser: 65532", "runAsUser: {{ .params.text }} # HERE", "can't depend on a parameter"},
		"security context":                 {"seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: {{ .params.text }}} # HERE", "can't depend on a parameter"},
		"capability":                       {"add: [BPF, PERFMON, NET_RAW]", "add: [{{ .params.text }}]", "can't depend on a parameter"},
		"mount path":                       {"mountPath: /tmp", "mountPath: {{ .params.text }} # HERE", "can't depend on a parameter"},
		"volume":                           {"emptyDir: {sizeLimit: 1Mi}", "emptyDir: {sizeLimit: {{ .params.text }}} # HERE", "can't depend on a parameter"},
		"whole volume":                     {"emptyDir: {sizeLimit: 1Mi}", "emptyDir: {{ .params.secret }} # HERE", "can't depend on a parameter"},
		"containerPort":                    {"{{ .port }}", "{{ .params.text }} # HERE", "can't depend on a parameter"},
		"name of a port":                   {"name: metrics", "name: {{ .port }} # HERE", "may stand in an env value"},
		"uid of the port":                  {"runAsUser: 65532", "runAsUser: {{ .port }} # HERE", "may stand in an env value"},
		"configMapKeyRef":                  {"secretKeyRef: {{ .params.secret }}", "configMapKeyRef: {{ .params.secret }} # HERE", "can't depend on a parameter"},
		"name of a Secret alone":           {"secretKeyRef: {{ .params.secret }}", "secretKeyRef: {name: {{ .params.text }}, key: k} # HERE", "can't depend on a parameter"},
		"whole valueFrom":                  {"valueFrom:\n          secretKeyRef: {{ .params.secret }}", "valueFrom: {{ .params.secret }} # HERE", "can't depend on a parameter"},
		"parameter inside a text":          {"args: [run]", `args: ['--text={{ .params.text }}'] # HERE`, "has to be the whole value"},
		"parameter inside a plain text":    {"value: {{ .params.text }}", "value: x-{{ .params.text }} # HERE", "has to be the whole value"},
		"tier inside a plain text":         {"args: [run]", "args: [--tier={{ .tier }}] # HERE", "has to be the whole value"},
		"tier inside a text":               {"args: [run]", "args: ['--tier={{ .tier }}'] # HERE", "has to be the whole value"},
		"two values in a text":             {"args: [run]", "args: ['{{ .tier }}{{ .tier }}'] # HERE", "has to be the whole value"},
		"tier as a key":                    {"args: [run]", "args: [{ {{ .tier }}: a }]", "can't be a key"},
		"two parameters in a text":         {"value: {{ .params.text }}", "value: {{ .params.text }}{{ .params.text }} # HERE", ""},
		"key":                              {"args: [run]", "{{ .params.text }}: [run] # HERE", "can't be a key"},
		"unknown parameter":                {"{{ .params.text }}", "{{ .params.txet }} # HERE", `there is no parameter "txet"`},
		"text for a Secret":                {"secretKeyRef: {{ .params.secret }}", "secretKeyRef: {{ .params.text }} # HERE", "has to be an object here"},
		"text for resources":               {"resources: {{ .params.resources }}", "resources: {{ .params.text }} # HERE", "has to be an object here"},
		"object for a quantity":            {"resources: {{ .params.resources }}", "resources: {limits: {cpu: {{ .params.secret }}}} # HERE", "has to be a quantity here"},
		"parameter in another branch only": {"value: native", "value: native\n        command: [{{ .params.text }}] # HERE", "can't depend on a parameter"},

		// What is rendered.
		"unknown field of a container":   afterArgs("      imagePullPolcy: Always # HERE\n"),
		"unknown field after branches":   {"emptyDir: {sizeLimit: 1Mi}", "emptyDir: {sizeLimt: 1Mi} # HERE", `unknown field "volumes[0].emptyDir.sizeLimt"`},
		"unknown field inside a branch":  {"        runAsUser: 65532", "        runAsUsr: 65532 # HERE", `unknown field "containers[0].securityContext.runAsUsr"`},
		"unknown field in the if branch": {"        runAsUser: 0", "        runAsUsr: 0 # HERE", `unknown field "containers[0].securityContext.runAsUsr"`},
		"wrong type":                     {"args: [run]", "args: run # HERE", "args"},
		"wrong type in a branch":         {"value: kernel", "value: [kernel] # HERE", "value"},
		"bad quantity":                   {"resources: {{ .params.resources }}", "resources: {limits: {cpu: much}} # HERE", ""},
		"key twice in the template":      {"args: [run]", "args: [run]\n      args: [walk] # HERE", "already set"},
		"no YAML in the template":        {"args: [run]\n\n      env:", "args: [run\n\n      env: # HERE", "did not find expected"},
		"no YAML inside a branch":        {"        runAsUser: 65532\n        capa", "        runAsUser: [65532\n        capa", "did not find expected"},
		"no containers":                  {"    containers:", "    container: # HERE", "nothing else"},
		"init containers":                {"    containers:", "    initContainers: # HERE", "nothing else"},
		"two containers":                 {"    containers:\n", "    containers: # HERE\n    - name: debugsidecar-other\n", "renders 2 of them"},
		"wrong name":                     {"- name: debugsidecar-own\n      image", "- name: debugsidecar-other # HERE\n      image", `want "debugsidecar-own"`},
		"no image":                       {"image: {{ .images.sidecar }}", "image: '' # HERE", "want an image"},
		"image with a space":             {"image: {{ .images.sidecar }}", "image: 'a:1 ' # HERE", "want an image"},
		"unknown pull policy":            text(afterArgs("      imagePullPolicy: Often # HERE\n"), "is none of"),
		"readiness probe":                text(afterArgs("      readinessProbe: {tcpSocket: {port: 1}} # HERE\n"), "unready"),
		"startup probe":                  text(afterArgs("      startupProbe: {tcpSocket: {port: 1}} # HERE\n"), "hold up"),
		"liveness probe":                 text(afterArgs("      livenessProbe: {tcpSocket: {port: 1}} # HERE\n"), "restarts itself"),
		"postStart":                      text(afterArgs("      lifecycle: {postStart: {exec: {command: [x]}}} # HERE\n"), "hold up"),
		"stop signal":                    text(afterArgs("      lifecycle: {stopSignal: SIGINT} # HERE\n"), "spec.os"),
		"own restart policy":             text(afterArgs("      restartPolicy: Always # HERE\n"), "spec.placement"),
		"resize policy":                  text(afterArgs("      resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}] # HERE\n"), "older"),
		"envFrom":                        text(afterArgs("      envFrom: [{secretRef: {name: a}}] # HERE\n"), "nobody reviewed"),
		"block device":                   text(afterArgs("      volumeDevices: [{name: a, devicePath: /dev/a}] # HERE\n"), "block device"),
		"host port":                      {"containerPort: {{ .port }}", "containerPort: {{ .port }}\n      - hostPort: 80 # HERE\n        containerPort: 80", "port of the host"},
		"bad port":                       {"- name: metrics\n        containerPort: {{ .port }}", "- name: metrics # HERE\n        containerPort: 70000", "is no port"},
		"bad port name":                  {"name: metrics", "name: much-too-long-a-name # HERE", "15 characters"},
		"port name twice":                {"containerPort: {{ .port }}", "containerPort: {{ .port }}\n      - name: metrics # HERE\n        containerPort: 80", "two ports"},
		"unknown protocol":               {"containerPort: {{ .port }}", "containerPort: {{ .port }}\n        protocol: tcp", "is none of TCP"},
		"bad name of a variable":         {"name: TEXT", "name: 'A=B' # HERE", ""},
		"Secret that is not optional":    {"value: {{ .params.text }}", "value: {{ .params.text }}\n      - name: A # HERE\n        valueFrom: {secretKeyRef: {name: a, key: b}}", "optional: true"},
		"ConfigMap that is not optional": {"value: {{ .params.text }}", "value: {{ .params.text }}\n      - name: A # HERE\n        valueFrom: {configMapKeyRef: {name: a, key: b, optional: false}}", "optional: true"},
		"value and valueFrom":            {"value: {{ .params.text }}", "value: {{ .params.text }}\n      - name: A # HERE\n        value: a\n        valueFrom: {fieldRef: {fieldPath: metadata.name}}", "both"},
		"unknown field of the pod":       {"value: {{ .params.text }}", "value: {{ .params.text }}\n      - name: A # HERE\n        valueFrom: {fieldRef: {fieldPath: metadata.generation}}", "is none of"},
		"another container's resources":  {"value: {{ .params.text }}", "value: {{ .params.text }}\n      - name: A # HERE\n        valueFrom: {resourceFieldRef: {containerName: app, resource: limits.cpu}}", "no container"},
		"valueFrom of nothing":           {"value: {{ .params.text }}", "value: {{ .params.text }}\n      - name: A # HERE\n        valueFrom: {}", "can't hold up"},
		"resources of a GPU":             {"resources: {{ .params.resources }}", "resources: {limits: {nvidia.com/gpu: 1}} # HERE", "can't be set"},
		"request above the limit":        {"resources: {{ .params.resources }}", "resources: {requests: {cpu: 2}, limits: {cpu: 1}} # HERE", "above its limit"},
		"claims":                         {"resources: {{ .params.resources }}", "resources: {claims: [{name: a}]} # HERE", "claims"},
		"mount of no volume":             {"name: debugsidecar-own-tmp\n        mountPath", "name: debugsidecar-own-run # HERE\n        mountPath", "there is no volume"},
		"relative mount path":            {"      - name: debugsidecar-own-tmp\n        mountPath: /tmp", "      - name: debugsidecar-own-tmp # HERE\n        mountPath: tmp", "absolute path"},
		"mount over the token":           {"      - name: debugsidecar-own-tmp\n        mountPath: /tmp", "      - name: debugsidecar-own-tmp # HERE\n        mountPath: /var/run/secrets/kubernetes.io/serviceaccount/", "something else"},
		"mount path twice":               {"        mountPath: /tmp", "        mountPath: /tmp\n      - name: debugsidecar-own-tmp # HERE\n        mountPath: /tmp/", "something else"},
		"mount into the host":            {"      - name: debugsidecar-own-tmp\n        mountPath: /tmp", "      - name: debugsidecar-own-tmp # HERE\n        mountPath: /tmp\n        mountPropagation: Bidirectional", "privileged"},
		"mount of a part":                {"      - name: debugsidecar-own-tmp\n        mountPath: /tmp", "      - name: debugsidecar-own-tmp # HERE\n        mountPath: /tmp\n        subPath: a", "subPath"},
		"wrong name of a volume":         {"    - name: debugsidecar-own-tmp\n      emptyDir", "    - name: debugsidecar-owner # HERE\n      emptyDir", "start with it and a dash"},
		"bad name of a volume":           {"    - name: debugsidecar-own-tmp\n      emptyDir", "    - name: debugsidecar-own-Tmp # HERE\n      emptyDir", "lowercase"},
		"volume twice":                   {"      emptyDir: {sizeLimit: 1Mi}", "      emptyDir: {sizeLimit: 1Mi}\n    - name: debugsidecar-own-tmp # HERE\n      emptyDir: {}", "two volumes"},
		"hostPath":                       {"    - name: debugsidecar-own-tmp\n      emptyDir: {sizeLimit: 1Mi}", "    - name: debugsidecar-own-tmp # HERE\n      hostPath: {path: /}", "only emptyDir"},
		"claim":                          {"    - name: debugsidecar-own-tmp\n      emptyDir: {sizeLimit: 1Mi}", "    - name: debugsidecar-own-tmp # HERE\n      persistentVolumeClaim: {claimName: a}", "only emptyDir"},
		"projected token":                {"    - name: debugsidecar-own-tmp\n      emptyDir: {sizeLimit: 1Mi}", "    - name: debugsidecar-own-tmp # HERE\n      projected: {sources: []}", "only emptyDir"},
		"two sources":                    {"    - name: debugsidecar-own-tmp\n      emptyDir: {sizeLimit: 1Mi}", "    - name: debugsidecar-own-tmp # HERE\n      emptyDir: {}\n      secret: {secretName: a, optional: true}", "one source"},
		"Secret volume not optional":     {"    - name: debugsidecar-own-tmp\n      emptyDir: {sizeLimit: 1Mi}", "    - name: debugsidecar-own-tmp # HERE\n      secret: {secretName: a}", "optional: true"},
		"huge pages":                     {"    - name: debugsidecar-own-tmp\n      emptyDir: {sizeLimit: 1Mi}", "    - name: debugsidecar-own-tmp # HERE\n      emptyDir: {medium: HugePages}", "neither empty nor Memory"},

		// What a tier may have.
		"no security context":               {good[strings.Index(good, "      securityContext:"):strings.Index(good, "      volumeMounts:")], "", "is missing"},
		"kernel tier with SYS_ADMIN":        {"add: [BPF, PERFMON, NET_RAW]", "add: [BPF, SYS_ADMIN]", "adds SYS_ADMIN"},
		"kernel tier with a prefixed name":  {"add: [BPF, PERFMON, NET_RAW]", "add: [CAP_BPF]", "adds CAP_BPF"},
		"kernel tier that keeps the others": {"capabilities: {drop: [ALL], add", "capabilities: {add", "does not pass"},
		"kernel tier of another uid":        {"        runAsUser: 0", "        runAsUser: 1 # HERE", "has to be 0"},
		"kernel tier without a uid":         {"        runAsUser: 0\n", "", "has to be 0"},
		"kernel tier that may not be root":  {"        runAsNonRoot: false", "        runAsNonRoot: true # HERE", "has to be false"},
		"kernel tier that leaves it open":   {"        runAsNonRoot: false\n", "", "has to be false"},
		"kernel tier without capabilities":  {"        capabilities: {drop: [ALL], add: [BPF, PERFMON, NET_RAW]}\n", "", "has no capabilities"},
		"privileged kernel tier":            {"        runAsUser: 0", "        runAsUser: 0\n        privileged: true", "privileged"},
		"user tier of uid 0":                {"        runAsUser: 65532", "        runAsUser: 0 # HERE", "other than 0"},
		"user tier without a uid":           {"        runAsUser: 65532\n", "", "other than 0"},
		"user tier with a capability":       {"capabilities: {drop: [ALL]}", "capabilities: {drop: [ALL], add: [NET_RAW]}", "NET_RAW"},
		"user tier that may be root":        {"        runAsNonRoot: true", "        runAsNonRoot: false", "runAsNonRoot"},
		"escalation":                        {"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation"},
		"no seccomp profile":                {"        seccompProfile: {type: RuntimeDefault}\n", "", "seccompProfile"},
		"Unconfined":                        {"{type: RuntimeDefault}", "{type: Unconfined}", "seccompProfile"},
		"unmasked /proc":                    {"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: false\n        procMount: Unmasked", "procMount"},
		"Windows options":                   {"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: false\n        windowsOptions: {} # HERE", "Linux program"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if strings.Count(good, c[0]) != 1 {
				t.Fatalf("the good profile has %q %d times", c[0], strings.Count(good, c[0]))
			}
			data := strings.Replace(good, c[0], c[1], 1)
			p, err := Load("own.yaml", []byte(data), testSettings)
			if err == nil {
				t.Fatalf("it was loaded: %+v", p)
			}
			want := "own.yaml:"
			if i := strings.Index(data, "HERE"); i >= 0 {
				want = fmt.Sprintf("own.yaml:%d: ", 1+strings.Count(data[:i], "\n"))
			}
			if !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), c[2]) {
				t.Errorf("got  %v\nwant %s…%s…", err, want, c[2])
			}
		})
	}
}
