package windowshostprocess

import data.lib.pod

violation contains {"msg": msg} if {
	some context in pod.contexts
	context.windowsOptions.hostProcess == true
	msg := "hostProcess is not allowed"
}
