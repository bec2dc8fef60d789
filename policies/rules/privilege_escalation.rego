# Privilege escalation.
#
# A process must not gain more privileges than its parent, as set-user-ID
# programs do. Windows pods (spec.os.name) are exempt: the API refuses the field
# for them.
#
# Restricted fields:
#   spec.containers[*].securityContext.allowPrivilegeEscalation
#   spec.initContainers[*].securityContext.allowPrivilegeEscalation
#   spec.ephemeralContainers[*].securityContext.allowPrivilegeEscalation
# Allowed values: false
# Pod Security check: allowPrivilegeEscalation
package policies

# METADATA
# title: Privilege escalation
# custom:
#   id: privilege-escalation
#   level: restricted
#   checks: [allowPrivilegeEscalation]
#   allowed: only false
#   fix: set {field} to false
restricted contains ["allowPrivilegeEscalation", value] if {
	input.windows == false
	some value in (input.allowPrivilegeEscalation - {false})
}
