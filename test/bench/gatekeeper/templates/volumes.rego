package volumes

import data.lib.pod

violation contains {"msg": msg} if {
	some volume in pod.spec.volumes
	not allowed(volume)
	msg := sprintf("volume %q has a type that is not allowed", [volume.name])
}

allowed(volume) if {
	some type in input.parameters.allowed
	volume[type]
}
