# SELinux options.
#
# The type confines a container's processes, so only types made for containers
# may be set; a user or role of one's own must not be set at all.
#
# Restricted fields:
#   spec.securityContext.seLinuxOptions.type
#   spec.containers[*].securityContext.seLinuxOptions.type
#   spec.initContainers[*].securityContext.seLinuxOptions.type
#   spec.ephemeralContainers[*].securityContext.seLinuxOptions.type
# Allowed values: unset, empty, the parameter selinux.allowedTypes, which is
#   container_t, container_init_t, container_kvm_t, container_engine_t
#   unless set
#
# Restricted fields:
#   spec.securityContext.seLinuxOptions.{user,role}
#   spec.containers[*].securityContext.seLinuxOptions.{user,role}
#   spec.initContainers[*].securityContext.seLinuxOptions.{user,role}
#   spec.ephemeralContainers[*].securityContext.seLinuxOptions.{user,role}
# Allowed values: unset, empty
# Pod Security check: seLinuxOptions
package policies

# METADATA
# title: SELinux options
# custom:
#   id: selinux
#   level: baseline
#   checks: [seLinuxOptions]
#   allowed: only {selinux.allowedTypes} or unset
#   fix: remove {field}
baseline contains ["selinuxType", type] if {
	some type in input.selinuxType
	not type in input.parameters.selinux.allowedTypes
}

# METADATA
# title: SELinux options
# custom:
#   id: selinux
#   level: baseline
#   checks: [seLinuxOptions]
#   allowed: no SELinux user
#   fix: remove {field}
baseline contains ["selinuxUser", user] if some user in input.selinuxUser

# METADATA
# title: SELinux options
# custom:
#   id: selinux
#   level: baseline
#   checks: [seLinuxOptions]
#   allowed: no SELinux role
#   fix: remove {field}
baseline contains ["selinuxRole", role] if some role in input.selinuxRole
