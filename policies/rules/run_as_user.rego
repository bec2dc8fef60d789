# The root user.
#
# A container must not ask for user 0. In a user namespace (spec.hostUsers is
# false) root is nobody on the node, so such pods are exempt.
#
# Restricted fields:
#   spec.securityContext.runAsUser
#   spec.containers[*].securityContext.runAsUser
#   spec.initContainers[*].securityContext.runAsUser
#   spec.ephemeralContainers[*].securityContext.runAsUser
# Allowed values: unset, anything but 0
# Pod Security check: runAsUser
package policies

# METADATA
# title: The root user
# custom:
#   id: run-as-user
#   level: restricted
#   checks: [runAsUser]
#   allowed: any user but 0
#   fix: set {field} to a user other than 0, such as 65532
restricted contains ["runAsUser", 0] if {
	input.userNamespace == false
	input.runAsUser[0]
}
