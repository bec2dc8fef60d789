package runasuser

import data.lib.pod

violation contains {"msg": msg} if {
	not pod.user_namespace
	some context in pod.contexts
	context.runAsUser == 0
	msg := "runAsUser must not be 0"
}
