package procmount

import data.lib.pod

violation contains {"msg": msg} if {
	some c in pod.containers
	c.securityContext.procMount != "Default"
	msg := sprintf("container %q: procMount %q is not allowed", [c.name, c.securityContext.procMount])
}
