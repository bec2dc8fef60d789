# The /proc mount.
#
# The runtime masks parts of /proc that tell about or change the node.
#
# Baseline: the masks stay, unless the pod has a user namespace (spec.hostUsers
# is false), as in a container that runs containers.
#
# Restricted fields:
#   spec.containers[*].securityContext.procMount
#   spec.initContainers[*].securityContext.procMount
#   spec.ephemeralContainers[*].securityContext.procMount
# Allowed values: unset, Default; any if spec.hostUsers is false
# Pod Security check: procMount
#
# Restricted: the masks stay.
#
# Restricted fields: as above
# Allowed values: unset, Default
# Pod Security check: procMount_restricted
package policies

# METADATA
# title: The /proc mount
# custom:
#   id: proc-mount
#   level: baseline
#   checks: [procMount]
#   allowed: only "Default" or unset, or any with spec.hostUsers set to false
#   fix: set {field} to "Default"
baseline contains ["procMount", type] if {
	input.userNamespace == false
	some type in (input.procMount - {"Default"})
}

# METADATA
# title: The /proc mount
# custom:
#   id: proc-mount
#   level: restricted
#   checks: [procMount_restricted]
#   allowed: only "Default" or unset
#   fix: set {field} to "Default"
restricted contains ["procMount", type] if {
	some type in (input.procMount - {"Default"})
}
