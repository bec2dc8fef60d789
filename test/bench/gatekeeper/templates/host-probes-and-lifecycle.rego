package hostprobes

import data.lib.pod

violation contains {"msg": msg} if {
	some c in pod.containers
	some probe in ["livenessProbe", "readinessProbe", "startupProbe"]
	some action in ["httpGet", "tcpSocket"]
	host := c[probe][action].host
	host != ""
	msg := sprintf("container %q: %s has the host %q", [c.name, probe, host])
}

violation contains {"msg": msg} if {
	some c in pod.containers
	some hook in ["postStart", "preStop"]
	some action in ["httpGet", "tcpSocket"]
	host := c.lifecycle[hook][action].host
	host != ""
	msg := sprintf("container %q: %s has the host %q", [c.name, hook, host])
}
