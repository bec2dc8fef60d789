package capabilities

import data.lib.pod

violation contains {"msg": msg} if {
	not pod.windows
	some c in pod.containers
	some name in c.securityContext.capabilities.add
	not name in input.parameters.allowed
	msg := sprintf("container %q adds the capability %q; allowed are %v", [c.name, name, input.parameters.allowed])
}

violation contains {"msg": msg} if {
	not pod.windows
	some c in pod.containers
	not drops_all(c)
	msg := sprintf("container %q does not drop ALL", [c.name])
}

drops_all(c) if "ALL" in c.securityContext.capabilities.drop
