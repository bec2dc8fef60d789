package privileged

import data.lib.pod

violation contains {"msg": msg} if {
	some c in pod.containers
	c.securityContext.privileged == true
	msg := sprintf("container %q is privileged", [c.name])
}
