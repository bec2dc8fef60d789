package sysctls

import data.lib.pod

violation contains {"msg": msg} if {
	some sysctl in pod.context.sysctls
	not sysctl.name in input.parameters.allowed
	msg := sprintf("sysctl %q is not allowed", [sysctl.name])
}
