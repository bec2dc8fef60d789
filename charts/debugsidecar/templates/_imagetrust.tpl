{{/*
imageTrust.mode. YAML reads an unquoted off as false, which means the same.
*/}}
{{- define "debugsidecar.trustMode" -}}
{{- .Values.imageTrust.mode | default "off" -}}
{{- end -}}

{{/*
imageTrust as the webhook reads it.
*/}}
{{- define "debugsidecar.imageTrust" -}}
{{- merge (dict "mode" (include "debugsidecar.trustMode" .)) (pick .Values.imageTrust "keys" "images" "registries") | toJson -}}
{{- end -}}

{{/*
Whether a container c uses one of our images, or one that a pattern may name, in
CEL. It says yes too often rather than too seldom: the same image can be written in
several ways, and the webhook knows them. But an outage must keep nobody from
debugging with any other image.
*/}}
{{- define "debugsidecar.mayNeedTrust" -}}
{{- if .Values.imageTrust.images -}}
true
{{- else -}}
{{- $names := list -}}
{{- range $image := list .Values.images.sidecar .Values.images.debug .Values.canary.images.sidecar .Values.canary.images.debug -}}
{{- if $image -}}
{{- $names = append $names ($image | splitList "@" | first | base | splitList ":" | first) -}}
{{- end -}}
{{- end -}}
(has(c.image) && [{{ range $i, $name := $names | uniq }}{{ if $i }}, {{ end }}'{{ $name }}'{{ end }}].exists(n, c.image.contains(n)))
{{- end -}}
{{- end -}}

{{/*
Requests that bring a container whose image has to be trusted, or give one another
image. By its name it is what is injected, or debugs in a copy of a pod. Debug
containers else are told by their images.
*/}}
{{- define "debugsidecar.bringsImages" -}}
- name: brings-images
  expression: >-
    has(request.subResource) && request.subResource == 'ephemeralcontainers' ?
    (has(object.spec.ephemeralContainers) && object.spec.ephemeralContainers.exists(c,
    (c.name.startsWith('debugsidecar-') || {{ include "debugsidecar.mayNeedTrust" . }}) &&
    !(has(oldObject.spec.ephemeralContainers) && oldObject.spec.ephemeralContainers.exists(o, o.name == c.name)))) :
    ({{- range $i, $list := list "containers" "initContainers" }}
    {{ if $i }}|| {{ end }}(has(object.spec.{{ $list }}) && object.spec.{{ $list }}.exists(c,
    (c.name.startsWith('debugsidecar-') || (c.name.startsWith('debugger-') &&
    has(object.metadata.labels) && 'debugsidecar.io/copy-of' in object.metadata.labels)) &&
    (request.operation == 'CREATE' || !(has(oldObject.spec.{{ $list }}) && oldObject.spec.{{ $list }}.exists(o,
    o.name == c.name && has(o.image) && has(c.image) && o.image == c.image)))))
    {{- end }})
{{- end -}}

{{/*
New ephemeral containers whose images have to be trusted and have no digest.
*/}}
{{- define "debugsidecar.bringsTags" -}}
- name: brings-tags
  expression: >-
    has(object.spec.ephemeralContainers) && object.spec.ephemeralContainers.exists(c,
    has(c.image) && !c.image.contains('@') && {{ include "debugsidecar.mayNeedTrust" . }} &&
    !(has(oldObject.spec.ephemeralContainers) && oldObject.spec.ephemeralContainers.exists(o, o.name == c.name)))
{{- end -}}
