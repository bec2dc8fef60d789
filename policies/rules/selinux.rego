# SELinux options.
#
# The type confines a container's processes, so only types made for containers
# may be set; a user or role of one's own is nothing that a pod needs. Among
# containers of the same type, the categories of the level keep them apart: with
# another namespace's categories a container may read that one's files.
#
# Restricted fields:
#   spec.securityContext.seLinuxOptions.type
#   spec.containers[*].securityContext.seLinuxOptions.type
#   spec.initContainers[*].securityContext.seLinuxOptions.type
#   spec.ephemeralContainers[*].securityContext.seLinuxOptions.type
# Allowed values: unset, empty, the parameter selinux.allowedTypes, which is
#   container_t, container_init_t, container_kvm_t, container_engine_t
#   unless set; spc_t, which nothing confines, only where the parameter
#   selinux.allowSpc is true
#
# Restricted fields:
#   spec.securityContext.seLinuxOptions.{user,role}
#   spec.containers[*].securityContext.seLinuxOptions.{user,role}
#   spec.initContainers[*].securityContext.seLinuxOptions.{user,role}
#   spec.ephemeralContainers[*].securityContext.seLinuxOptions.{user,role}
# Allowed values: unset, empty, the parameters selinux.allowedUsers and
#   selinux.allowedRoles, which are empty unless set
#
# Restricted fields:
#   spec.securityContext.seLinuxOptions.level
#   spec.containers[*].securityContext.seLinuxOptions.level
#   spec.initContainers[*].securityContext.seLinuxOptions.level
#   spec.ephemeralContainers[*].securityContext.seLinuxOptions.level
# Allowed values: unset, empty; where the namespace has a range, what lies within
#   it, and else anything. The range is the parameter selinux.range or, where
#   selinux.rangeFromOpenShift is true, the namespace's annotation
#   openshift.io/sa.scc.mcs. (Levels are compared before the rules see them, and
#   are in selinuxLevelWithin then. Pod Security leaves them free.)
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
	not allowed_selinux_type(type)
}

allowed_selinux_type(type) if {
	type != "spc_t"
	type in input.parameters.selinux.allowedTypes
}

allowed_selinux_type("spc_t") if input.parameters.selinux.allowSpc

# METADATA
# title: SELinux options
# custom:
#   id: selinux
#   level: baseline
#   checks: [seLinuxOptions]
#   allowed: 'only these SELinux users: {selinux.allowedUsers}'
#   fix: remove {field}
baseline contains ["selinuxUser", user] if {
	some user in input.selinuxUser
	not user in input.parameters.selinux.allowedUsers
}

# METADATA
# title: SELinux options
# custom:
#   id: selinux
#   level: baseline
#   checks: [seLinuxOptions]
#   allowed: 'only these SELinux roles: {selinux.allowedRoles}'
#   fix: remove {field}
baseline contains ["selinuxRole", role] if {
	some role in input.selinuxRole
	not role in input.parameters.selinux.allowedRoles
}

# METADATA
# title: SELinux options
# custom:
#   id: selinux
#   level: baseline
#   checks: [seLinuxOptions]
#   allowed: '{levels}'
#   fix: remove {field}
baseline contains ["selinuxLevel", level] if {
	some level in input.selinuxLevel
	not input.selinuxLevelWithin[level] # a pod without any such level has no such set
}
