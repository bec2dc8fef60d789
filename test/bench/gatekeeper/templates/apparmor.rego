package apparmor

import data.lib.pod

violation contains {"msg": msg} if {
	some context in pod.contexts
	profile := context.appArmorProfile
	not object.get(profile, "type", "") in {"RuntimeDefault", "Localhost"}
	msg := sprintf("AppArmor profile %v is not allowed", [profile])
}

violation contains {"msg": msg} if {
	some key, profile in input.review.object.metadata.annotations
	startswith(key, "container.apparmor.security.beta.kubernetes.io/")
	not profile in {"", "runtime/default"}
	not startswith(profile, "localhost/")
	msg := sprintf("annotation %s: AppArmor profile %q is not allowed", [key, profile])
}
