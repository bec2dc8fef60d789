{{/*
policy.default. YAML reads an unquoted off as false, which means the same.
*/}}
{{- define "debugsidecar.policyDefault" -}}
{{- .Values.policy.default | default "off" -}}
{{- end -}}

{{/*
The parameters of the rules, as JSON. policy.capabilities.trim is one of them.
*/}}
{{- define "debugsidecar.parameters" -}}
{{- $parameters := .Values.policy.parameters | deepCopy -}}
{{- if .Values.policy.capabilities.trim -}}
{{- $parameters = mergeOverwrite (dict "capabilities" (dict "trim" true)) $parameters -}}
{{- end -}}
{{- $parameters | toJson -}}
{{- end -}}

{{/*
Not empty if the webhook makes its CA and writes the caBundle.
*/}}
{{- define "debugsidecar.ownCA" -}}
{{- if and (eq .Values.certificates.mode "self-managed") (not .Values.external.caBundle) -}}
yes
{{- end -}}
{{- end -}}

{{/*
Namespaces that no entry may select, as a JSON list. Without kube-system and the
webhook's own namespace a webhook that is down could keep itself, and what it
needs, from starting.
*/}}
{{- define "debugsidecar.excludedNamespaces" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.excludedNamespaces | uniq | toJson -}}
{{- end -}}

{{/*
Refuses what the schema can't express.
*/}}
{{- define "debugsidecar.check" -}}
{{- $embedded := list "debug" "full" "video-probe" -}}
{{- $known := concat $embedded (keys .Values.profiles | sortAlpha) -}}
{{- range $name, $text := .Values.profiles -}}
{{- if has $name $embedded -}}
{{- fail (printf "profiles.%s: an embedded profile has this name, choose another" $name) -}}
{{- end -}}
{{- if eq $name "disabled" -}}
{{- fail "profiles.disabled: as a label, this word means no sidecar; choose another name" -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$" $name) -}}
{{- fail (printf "profiles.%s: the name becomes part of a container's name: at most 50 lower-case letters, digits and dashes" $name) -}}
{{- end -}}
{{- end -}}
{{- $excluded := include "debugsidecar.excludedNamespaces" . | fromJsonArray -}}
{{- $granted := list -}}
{{- range $i, $grant := .Values.grants -}}
{{- if has $grant.namespace $excluded -}}
{{- fail (printf "grants[%d]: nothing is ever injected in namespace %s, so a grant for it means nothing" $i $grant.namespace) -}}
{{- end -}}
{{- if has $grant.namespace $granted -}}
{{- fail (printf "grants[%d]: namespace %s has a grant already, list all its profiles there" $i $grant.namespace) -}}
{{- end -}}
{{- $granted = append $granted $grant.namespace -}}
{{- range $profile := $grant.profiles -}}
{{- if not (has $profile $known) -}}
{{- fail (printf "grants[%d]: there is no profile %q, only %s" $i $profile (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $receivers := list -}}
{{- range $field := list "alertmanagers" "webhooks" -}}
{{- range $i, $url := index $.Values.alerts $field -}}
{{- $host := (urlParse $url).host -}}
{{- if has $host $receivers -}}
{{- fail (printf "alerts.%s[%d]: another receiver is at %s, too; the sidecar tells receivers apart by host and port" $field $i $host) -}}
{{- end -}}
{{- $receivers = append $receivers $host -}}
{{- end -}}
{{- end -}}
{{- if and .Values.external.url (eq .Values.certificates.mode "cert-manager") -}}
{{- fail "certificates.mode: cert-manager's certificate lies in a Secret that a webhook outside the cluster can't mount; use self-managed, or give the webhook files and external.caBundle" -}}
{{- end -}}
{{- if and .Values.external.url (include "debugsidecar.ownCA" .) -}}
{{- $host := (urlParse .Values.external.url).hostname -}}
{{- if or (regexMatch "^[0-9.]+$" $host) (contains ":" $host) -}}
{{- fail (printf "external.url: the certificate that the webhook makes holds names, not addresses such as %s; use a name (localhost), or give external.caBundle" $host) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.external.caBundle (not .Values.external.url) -}}
{{- fail "external.caBundle: has a meaning only with external.url" -}}
{{- end -}}
{{- if and .Values.certificates.issuerRef (ne .Values.certificates.mode "cert-manager") -}}
{{- fail "certificates.issuerRef: has a meaning only with certificates.mode cert-manager" -}}
{{- end -}}
{{- end -}}
