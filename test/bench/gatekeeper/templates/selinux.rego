package selinux

import data.lib.pod

violation contains {"msg": msg} if {
	some context in pod.contexts
	type := context.seLinuxOptions.type
	type != ""
	not type in input.parameters.allowed
	msg := sprintf("SELinux type %q is not allowed", [type])
}

violation contains {"msg": msg} if {
	some context in pod.contexts
	some field in ["user", "role"]
	value := context.seLinuxOptions[field]
	value != ""
	msg := sprintf("SELinux %s %q is not allowed", [field, value])
}
