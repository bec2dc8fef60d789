# Linux capabilities.
#
# Baseline: only capabilities of the runtime's default set may be added.
#
# Restricted fields:
#   spec.containers[*].securityContext.capabilities.add
#   spec.initContainers[*].securityContext.capabilities.add
#   spec.ephemeralContainers[*].securityContext.capabilities.add
# Allowed values: unset, empty, the parameter capabilities.allowedAdd, which is
#   AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD,
#   NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID, SYS_CHROOT
#   unless set; also what the parameter capabilities.images has for the
#   container's image, and for a container of ours what a grant lifts for it
# Pod Security check: capabilities_baseline
#
# Restricted: all are dropped, and only NET_BIND_SERVICE may be added. Windows
# pods (spec.os.name) are exempt: the API refuses both fields for them.
#
# Restricted fields: as above, and
#   spec.containers[*].securityContext.capabilities.drop
#   spec.initContainers[*].securityContext.capabilities.drop
#   spec.ephemeralContainers[*].securityContext.capabilities.drop
# Allowed values:
#   add: unset, empty, the parameter capabilities.allowedAddRestricted, which is
#     NET_BIND_SERVICE unless set; neither a grant nor the image counts here
#   drop: what includes ALL
# Pod Security check: capabilities_restricted
package policies

# METADATA
# title: Linux capabilities
# custom:
#   id: capabilities
#   level: baseline
#   checks: [capabilities_baseline]
#   has: has {values}
#   allowed: only {capabilities.allowedAdd}
#   fix: remove {values} from {field}
baseline contains ["capabilitiesAdd", name] if {
	some name in input.capabilitiesAdd
	not name in input.parameters.capabilities.allowedAdd
}

# METADATA
# title: Linux capabilities
# custom:
#   id: capabilities
#   level: restricted
#   checks: [capabilities_restricted]
#   has: has {values}
#   allowed: only {capabilities.allowedAddRestricted}
#   fix: remove {values} from {field}
restricted contains ["capabilitiesAdd", name] if {
	input.windows == false
	some name in input.capabilitiesAdd
	not name in input.parameters.capabilities.allowedAddRestricted
}

# METADATA
# title: Linux capabilities
# custom:
#   id: capabilities
#   level: restricted
#   checks: [capabilities_restricted]
#   has: has {values}
#   allowed: only {capabilities.allowedAddRestricted}
#   fix: remove {values} from {field}
restricted contains ["capabilitiesGranted", name] if {
	input.windows == false
	some name in input.capabilitiesGranted
	not name in input.parameters.capabilities.allowedAddRestricted
}

# METADATA
# title: Linux capabilities
# custom:
#   id: capabilities
#   level: restricted
#   checks: [capabilities_restricted]
#   has: has {values}
#   allowed: only {capabilities.allowedAddRestricted}
#   fix: remove {values} from {field}
restricted contains ["capabilitiesOfImage", name] if {
	input.windows == false
	some name in input.capabilitiesOfImage
	not name in input.parameters.capabilities.allowedAddRestricted
}

# METADATA
# title: Linux capabilities
# custom:
#   id: capabilities
#   level: restricted
#   checks: [capabilities_restricted]
#   allowed: only what includes "ALL"
#   fix: add "ALL" to {field}
restricted contains ["capabilitiesDrop", dropped] if {
	input.windows == false
	some dropped in input.capabilitiesDrop
	not "ALL" in dropped
}
