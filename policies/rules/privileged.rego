# Privileged containers.
#
# A privileged container has all capabilities, all devices of its node, and no
# seccomp, AppArmor or SELinux confinement. It must not be asked for.
#
# Restricted fields:
#   spec.containers[*].securityContext.privileged
#   spec.initContainers[*].securityContext.privileged
#   spec.ephemeralContainers[*].securityContext.privileged
# Allowed values: false, unset
# Pod Security check: privileged
package policies

# METADATA
# title: Privileged containers
# custom:
#   id: privileged
#   level: baseline
#   checks: [privileged]
#   allowed: only false or unset
#   fix: set {field} to false
baseline contains ["privileged", true] if input.privileged[true]
