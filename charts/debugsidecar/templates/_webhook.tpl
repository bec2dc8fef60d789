{{/*
What every webhook entry has in common. Takes a list of the root context, the path,
and the timeout in seconds if it is not 2.

There is no caBundle here unless external.caBundle gives one: the webhook, or
cert-manager's CA injector, writes it. Helm leaves alone what its manifest does
not name, so an upgrade keeps it. Copying the present one into the manifest would
do harm: after the CA has changed, a rollback would bring the old one back, or
fail because somebody else owns the field.
*/}}
{{- define "debugsidecar.entry" -}}
{{- $ := index . 0 -}}
{{- $path := index . 1 -}}
clientConfig:
  {{- if $.Values.external.url }}
  url: {{ $.Values.external.url }}{{ $path }}
  {{- with $.Values.external.caBundle }}
  caBundle: {{ . }}
  {{- end }}
  {{- else }}
  service:
    name: {{ include "debugsidecar.fullname" $ }}
    namespace: {{ $.Release.Namespace | quote }}
    path: {{ $path }}
    port: 443
  {{- end }}
admissionReviewVersions: [v1]
# A request writes nothing, so a dry run may come here, too.
sideEffects: None
matchPolicy: Equivalent
timeoutSeconds: {{ if gt (len .) 2 }}{{ index . 2 }}{{ else }}2{{ end }}
{{- end -}}

{{/*
Metadata of both configurations.
*/}}
{{- define "debugsidecar.configurationMetadata" -}}
name: {{ include "debugsidecar.fullname" . }}
{{ include "debugsidecar.clusterMetadata" . }}
{{- if eq .Values.certificates.mode "cert-manager" }}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "debugsidecar.fullname" . }}-tls
{{- end }}
{{- end -}}

{{/*
The requirement that keeps the excluded namespaces out. Every entry has it. The
API server sets kubernetes.io/metadata.name itself; nobody can change it.
*/}}
{{- define "debugsidecar.notExcluded" -}}
- key: kubernetes.io/metadata.name
  operator: NotIn
  values: {{ include "debugsidecar.excludedNamespaces" . }}
{{- end -}}

{{/*
Requirements for one mode's label of a namespace. Takes a list of the mode, its
state (on, off, unset), and the level where the label is missing.

A selector has no "or" and can't say "missing or off", so "not on" is two
states, each with an entry of its own. An unknown value, an empty one included,
is on: the webhook takes it for restricted where it enforces, and says that it
is none.
*/}}
{{- define "debugsidecar.mode" -}}
{{- $key := printf "policy.debugsidecar.io/%s" (index . 0) -}}
{{- $state := index . 1 -}}
{{- $default := index . 2 -}}
{{- if eq $state "unset" -}}
- {key: {{ $key }}, operator: DoesNotExist}
{{- else if eq $state "off" -}}
- {key: {{ $key }}, operator: In, values: ["off"]}
{{- else -}}
{{- if eq $default "off" -}}
- {key: {{ $key }}, operator: Exists}
{{ end -}}
- {key: {{ $key }}, operator: NotIn, values: ["off"]}
{{- end -}}
{{- end -}}

{{- define "debugsidecar.injectRules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE]
  resources: [pods]
  scope: Namespaced
{{- end -}}

{{- define "debugsidecar.debugRules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [pods/ephemeralcontainers]
  scope: Namespaced
{{- end -}}

{{/*
Requirements for the namespaces whose pods are trimmed, empty if there is none:
the parameters say so, and a level is enforced there.
*/}}
{{- define "debugsidecar.trimmed" -}}
{{- $parameters := include "debugsidecar.parameters" . | fromJson -}}
{{- $everywhere := eq "true" (get (get $parameters "capabilities" | default dict) "trim" | toString) -}}
{{- $differ := list -}}
{{- range $name, $own := get $parameters "namespaces" | default dict -}}
{{- $trim := get (get ($own | default dict) "capabilities" | default dict) "trim" -}}
{{- if and (kindIs "bool" $trim) (ne $trim $everywhere) -}}
{{- $differ = append $differ $name -}}
{{- end -}}
{{- end -}}
{{- if or $everywhere $differ -}}
{{- if $differ -}}
- {key: kubernetes.io/metadata.name, operator: {{ $everywhere | ternary "NotIn" "In" }}, values: {{ $differ | toJson }}}
{{ end -}}
{{- include "debugsidecar.mode" (list "enforce" "on" (include "debugsidecar.policyDefault" .)) -}}
{{- end -}}
{{- end -}}

{{/*
Pods with a container that adds capabilities. Takes the lists to look at.
*/}}
{{- define "debugsidecar.addsCapabilities" -}}
- name: adds-capabilities
  expression: >-
    {{- range $i, $list := . }}
    {{ if $i }}|| {{ end }}(has(object.spec.{{ $list }}) && object.spec.{{ $list }}.exists(c, has(c.securityContext) &&
    has(c.securityContext.capabilities) && has(c.securityContext.capabilities.add) && c.securityContext.capabilities.add.size() > 0))
    {{- end }}
{{- end -}}

{{/*
The namespaces whose pods get its SELinux level, as a JSON list.
*/}}
{{- define "debugsidecar.filled" -}}
{{- $parameters := include "debugsidecar.parameters" . | fromJson -}}
{{- $filled := list -}}
{{- range $name, $own := get $parameters "namespaces" | default dict -}}
{{- if eq "true" (get (get ($own | default dict) "selinux" | default dict) "fill" | toString) -}}
{{- $filled = append $filled $name -}}
{{- end -}}
{{- end -}}
{{- $filled | toJson -}}
{{- end -}}

{{/*
Pods that don't name an SELinux level for all of their containers.
*/}}
{{- define "debugsidecar.namesNoLevel" -}}
- name: names-no-selinux-level
  expression: >-
    !(has(object.spec.securityContext) && has(object.spec.securityContext.seLinuxOptions) &&
    has(object.spec.securityContext.seLinuxOptions.level) && object.spec.securityContext.seLinuxOptions.level != '')
{{- end -}}

{{/*
Rules for judging pods. Never pods/*, never pods/status: the kubelet's reports must not
depend on us.
*/}}
{{- define "debugsidecar.podRules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [pods]
  scope: Namespaced
- apiGroups: [""]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [pods/ephemeralcontainers, pods/resize]
  scope: Namespaced
{{- end -}}

{{- define "debugsidecar.workloadRules" -}}
- apiGroups: [apps]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [daemonsets, deployments, replicasets, statefulsets]
  scope: Namespaced
- apiGroups: [batch]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [cronjobs, jobs]
  scope: Namespaced
{{- end -}}

{{/*
Pods that are being deleted: their finalizers must go even while the webhook is
down, and nothing new starts in them any more. It reads the old object, which
the author of the request has no say in. There is an old object in every UPDATE,
so the expression has no way to fail.
*/}}
{{- define "debugsidecar.skipDeleted" -}}
- name: not-being-deleted
  expression: request.operation != 'UPDATE' || !has(oldObject.metadata.deletionTimestamp)
{{- end -}}

{{/*
Requests to get into a container of ours: by its name, by none, or by a new
ephemeral container that targets it or mounts what is its own. Which container
that is, only who asks can say; and it asks for no other one than it names.
*/}}
{{- define "debugsidecar.entersOurs" -}}
- name: enters-a-container-of-ours
  expression: >-
    request.operation == 'CONNECT' ?
    (!has(object.container) || object.container == '' || object.container.startsWith('debugsidecar-')) :
    (has(object.spec.ephemeralContainers) && object.spec.ephemeralContainers.exists(c,
    (has(c.targetContainerName) && c.targetContainerName.startsWith('debugsidecar-')) ||
    (has(c.volumeMounts) && c.volumeMounts.exists(m, m.name.startsWith('debugsidecar-')))))
{{- end -}}

{{/*
Workloads that a controller made, such as a Deployment's ReplicaSets: a warning
would reach only that controller, and the workload's owner got it already.
*/}}
{{- define "debugsidecar.skipControlled" -}}
- name: not-made-by-a-controller
  expression: >-
    request.resource.resource == 'pods' || !has(object.metadata.ownerReferences) ||
    !object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller)
{{- end -}}
