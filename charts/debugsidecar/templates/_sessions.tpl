{{/*
What a record may say that did not come from the webhook, or came with a request
that the webhook has not seen: the truth, as far as it can be checked here. While
the webhook answers, it has replaced all of it before. Expects a variable "records":
for each new debug container the variables of its environment that are a record's.
*/}}
{{- define "debugsidecar.recordChecks" -}}
{{- $hint := "leave out what the webhook alone writes: DEBUGSIDECAR_SESSION_USER, _GROUPS, _REQUEST, _SINCE and _UNTIL" -}}
- expression: >-
    variables.records.all(r, r.all(e, e.name == 'DEBUGSIDECAR_SESSION_TTL' || has(e.value) && !has(e.valueFrom) ||
    e.name == 'DEBUGSIDECAR_SESSION_GROUPS' && !has(e.valueFrom)))
  reason: Forbidden
  message: "the record of a debug session comes from elsewhere; {{ $hint }}"
- expression: >-
    variables.records.all(r, r.all(e, e.name != 'DEBUGSIDECAR_SESSION_USER' || e.value == request.userInfo.username))
  reason: Forbidden
  messageExpression: >-
    'the record of a debug session names another user than you, ' + request.userInfo.username + '; {{ $hint }}'
- expression: >-
    variables.records.all(r, r.all(e, r.exists_one(same, same.name == e.name)) &&
    (r.all(e, e.name == 'DEBUGSIDECAR_SESSION_TTL') || r.exists(e, e.name == 'DEBUGSIDECAR_SESSION_USER')))
  reason: Forbidden
  message: "the record of a debug session says something twice, or not whose it is; {{ $hint }}"
- expression: >-
    variables.records.all(r, r.all(e, e.name != 'DEBUGSIDECAR_SESSION_GROUPS' || !has(e.value) || e.value == '' ||
    has(request.userInfo.groups) && e.value.split(',').all(group, group in request.userInfo.groups)))
  reason: Forbidden
  message: "the record of a debug session names a group that you are not in; {{ $hint }}"
- expression: >-
    variables.records.all(r, r.all(e,
    e.name == 'DEBUGSIDECAR_SESSION_REQUEST' ? e.value.matches('^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$') :
    e.name in ['DEBUGSIDECAR_SESSION_SINCE', 'DEBUGSIDECAR_SESSION_UNTIL'] ?
    e.value.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$') : true))
  reason: Forbidden
  message: "the record of a debug session has a request or a time that is none; {{ $hint }}"
- expression: >-
    variables.records.all(r, r.all(until, until.name != 'DEBUGSIDECAR_SESSION_UNTIL' ||
    r.exists(since, since.name == 'DEBUGSIDECAR_SESSION_SINCE' && r.exists(ttl, ttl.name == 'DEBUGSIDECAR_SESSION_TTL' &&
    has(ttl.value) && timestamp(until.value) - timestamp(since.value) == duration(ttl.value)))))
  reason: Forbidden
  message: "the record of a debug session ends at another time than its TTL says; {{ $hint }}"
{{- end -}}

{{/*
The variables of a record in the environments of "debuggers".
*/}}
{{- define "debugsidecar.records" -}}
- name: records
  expression: >-
    variables.debuggers.map(c, !has(c.env) ? [] : c.env.filter(e, e.name in {{ list "DEBUGSIDECAR_SESSION_USER" "DEBUGSIDECAR_SESSION_GROUPS" "DEBUGSIDECAR_SESSION_REQUEST" "DEBUGSIDECAR_SESSION_SINCE" "DEBUGSIDECAR_SESSION_UNTIL" "DEBUGSIDECAR_SESSION_TTL" | toJson }}))
{{- end -}}
