package runasnonroot

import data.lib.pod

violation contains {"msg": msg} if {
	not pod.user_namespace
	pod.context.runAsNonRoot == false
	msg := "the pod must not set runAsNonRoot to false"
}

violation contains {"msg": msg} if {
	not pod.user_namespace
	some c in pod.containers
	not non_root(c)
	msg := sprintf("container %q must run as non-root", [c.name])
}

non_root(c) if c.securityContext.runAsNonRoot == true

non_root(c) if {
	pod.context.runAsNonRoot == true
	not c.securityContext.runAsNonRoot == false
}
