# AppArmor profiles.
#
# Where a node has AppArmor, the runtime's profile applies by default. A pod may
# name it or one that is loaded on the node, but must not switch it off.
#
# Restricted fields:
#   spec.securityContext.appArmorProfile.type
#   spec.containers[*].securityContext.appArmorProfile.type
#   spec.initContainers[*].securityContext.appArmorProfile.type
#   spec.ephemeralContainers[*].securityContext.appArmorProfile.type
# Allowed values: unset, RuntimeDefault, Localhost
#
# Restricted fields:
#   metadata.annotations[container.apparmor.security.beta.kubernetes.io/*]
# Allowed values: unset, empty, runtime/default, localhost/*
# Pod Security check: appArmorProfile
package policies

# METADATA
# title: AppArmor profiles
# custom:
#   id: apparmor
#   level: baseline
#   checks: [appArmorProfile]
#   allowed: only "RuntimeDefault", "Localhost" or unset
#   fix: set {field} to "RuntimeDefault"
baseline contains ["appArmorTypes", type] if {
	some type in input.appArmorTypes
	not type in {"RuntimeDefault", "Localhost"}
}

# METADATA
# title: AppArmor profiles
# custom:
#   id: apparmor
#   level: baseline
#   checks: [appArmorProfile]
#   allowed: only "runtime/default", "localhost/<profile>" or unset
#   fix: remove {field}
baseline contains ["appArmorAnnotations", profile] if {
	some profile in input.appArmorAnnotations
	not profile in {"", "runtime/default"}
	not startswith(profile, "localhost/")
}
