package hostports

import data.lib.pod

violation contains {"msg": msg} if {
	some c in pod.containers
	some p in c.ports
	p.hostPort != 0
	not allowed(p.hostPort)
	msg := sprintf("container %q uses the host port %d", [c.name, p.hostPort])
}

allowed(port) if {
	some range in input.parameters.ranges
	port >= range.min
	port <= range.max
}
