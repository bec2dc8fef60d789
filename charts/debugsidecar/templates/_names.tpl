{{- define "debugsidecar.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/*
The name of all objects. At most 52 characters: the longest suffix has 11.
*/}}
{{- define "debugsidecar.fullname" -}}
{{- $name := include "debugsidecar.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "debugsidecar.selectorLabels" -}}
app.kubernetes.io/name: {{ include "debugsidecar.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "debugsidecar.labels" -}}
{{ include "debugsidecar.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/*
Metadata of an object outside any namespace. The release's namespace owns it:
whoever deletes that namespace instead of uninstalling leaves no webhook behind
that nobody answers. The namespace's uid is known only when Helm talks to a
cluster and the namespace is there already, so not with `helm template`, and not
with `--create-namespace` the first time; `helm upgrade` then adds it.
*/}}
{{- define "debugsidecar.clusterMetadata" -}}
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace -}}
labels:
  {{- include "debugsidecar.labels" . | nindent 2 }}
{{- if $namespace }}
ownerReferences:
  - apiVersion: v1
    kind: Namespace
    name: {{ .Release.Namespace | quote }}
    uid: {{ $namespace.metadata.uid }}
{{- end }}
{{- end -}}

{{- define "debugsidecar.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}
