package hostnamespaces

import data.lib.pod

violation contains {"msg": msg} if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	pod.spec[field] == true
	msg := sprintf("spec.%s is not allowed", [field])
}
