package privilegeescalation

import data.lib.pod

violation contains {"msg": msg} if {
	not pod.windows
	some c in pod.containers
	not forbidden(c)
	msg := sprintf("container %q must set allowPrivilegeEscalation to false", [c.name])
}

forbidden(c) if c.securityContext.allowPrivilegeEscalation == false
