package seccomp

import data.lib.pod

violation contains {"msg": msg} if {
	not pod.windows
	some context in pod.contexts
	profile := context.seccompProfile
	not object.get(profile, "type", "") in input.parameters.allowed
	msg := sprintf("seccomp profile %v is not allowed", [profile])
}

violation contains {"msg": msg} if {
	not pod.windows
	not pod.context.seccompProfile
	some c in pod.containers
	not c.securityContext.seccompProfile
	msg := sprintf("container %q has no seccomp profile", [c.name])
}
