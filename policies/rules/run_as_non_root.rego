# Running as non-root.
#
# The kubelet must be told to refuse a container that would run as root. In a
# user namespace (spec.hostUsers is false) root is nobody on the node, so such
# pods are exempt.
#
# Restricted fields:
#   spec.securityContext.runAsNonRoot
#   spec.containers[*].securityContext.runAsNonRoot
#   spec.initContainers[*].securityContext.runAsNonRoot
#   spec.ephemeralContainers[*].securityContext.runAsNonRoot
# Allowed values: true; unset in a container where the pod's is true; unset in
#   the pod where every container's is true
# Pod Security check: runAsNonRoot
package policies

# METADATA
# title: Running as non-root
# custom:
#   id: run-as-non-root
#   level: restricted
#   checks: [runAsNonRoot]
#   allowed: only true
#   fix: set {field} to true
restricted contains ["runAsNonRoot", value] if {
	input.userNamespace == false
	some value in (input.runAsNonRoot - {true})
}
