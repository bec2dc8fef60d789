# Seccomp profiles.
#
# Baseline: a profile that is set must filter system calls.
#
# Restricted fields:
#   spec.securityContext.seccompProfile.type
#   spec.containers[*].securityContext.seccompProfile.type
#   spec.initContainers[*].securityContext.seccompProfile.type
#   spec.ephemeralContainers[*].securityContext.seccompProfile.type
# Allowed values: unset, the parameter seccomp.allowedTypes, which is
#   RuntimeDefault, Localhost unless set
# Pod Security check: seccompProfile_baseline
#
# Restricted: a profile must also be set, in the container or in the pod.
# Windows pods (spec.os.name) are exempt: the API refuses the field for them.
#
# Restricted fields: as above
# Allowed values: the parameter seccomp.allowedTypes; unset in a container where
#   the pod's is allowed; unset in the pod where every container's is allowed
# Pod Security check: seccompProfile_restricted
#
# The alpha annotations (seccomp.security.alpha.kubernetes.io/pod and
# container.seccomp.security.alpha.kubernetes.io/*) have had no effect since
# Kubernetes 1.27, and Pod Security stopped reading them with its version 1.19.
package policies

# METADATA
# title: Seccomp profiles
# custom:
#   id: seccomp
#   level: baseline
#   checks: [seccompProfile_baseline]
#   allowed: only {seccomp.allowedTypes} or unset
#   fix: set {field} to "RuntimeDefault"
baseline contains ["seccompTypes", type] if {
	some type in input.seccompTypes
	type != null
	not type in input.parameters.seccomp.allowedTypes
}

# METADATA
# title: Seccomp profiles
# custom:
#   id: seccomp
#   level: restricted
#   checks: [seccompProfile_restricted]
#   allowed: only {seccomp.allowedTypes}
#   fix: set {field} to "RuntimeDefault"
restricted contains ["seccompTypes", type] if {
	input.windows == false
	some type in input.seccompTypes
	not type in input.parameters.seccomp.allowedTypes
}
