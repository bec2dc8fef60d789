# Host ports.
#
# A host port opens a port of the node, past Services and most network policies.
#
# Restricted fields:
#   spec.containers[*].ports[*].hostPort
#   spec.initContainers[*].ports[*].hostPort
#   spec.ephemeralContainers[*].ports[*].hostPort
# Allowed values: unset, 0, the ports in the parameter hostPorts.allowed, which
#   is empty unless set
# Pod Security check: hostPorts
package policies

# METADATA
# title: Host ports
# custom:
#   id: host-ports
#   level: baseline
#   checks: [hostPorts]
#   allowed: 'these host ports: {hostPorts.allowed}'
#   fix: remove {field}
baseline contains ["hostPorts", port] if {
	some port in input.hostPorts
	not host_port_allowed(port)
}

host_port_allowed(port) if {
	some [from, to] in input.parameters.hostPorts.allowed
	port >= from
	port <= to
}
