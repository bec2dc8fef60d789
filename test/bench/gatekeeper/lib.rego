# What several templates need of a pod.
package lib.pod

spec := input.review.object.spec

context := object.get(spec, "securityContext", {})

containers := array.concat(
	array.concat(object.get(spec, "containers", []), object.get(spec, "initContainers", [])),
	object.get(spec, "ephemeralContainers", []),
)

# The security contexts of the pod and its containers, where there are any.
contexts := array.concat([context], [c.securityContext | some c in containers])

windows if spec.os.name == "windows"

user_namespace if spec.hostUsers == false
