# Volume types.
#
# Baseline: a hostPath volume is a door to the node's file system.
#
# Restricted fields:
#   spec.volumes[*].hostPath
# Allowed values: unset
# Pod Security check: hostPathVolumes
#
# Restricted: only volumes that Kubernetes makes or that an administrator
# defined.
#
# Restricted fields:
#   spec.volumes[*]
# Allowed values: volumes of the types in the parameter volumes.allowedTypes,
#   which is configMap, csi, downwardAPI, emptyDir, ephemeral, image,
#   persistentVolumeClaim, projected, secret unless set
# Pod Security check: restrictedVolumes
package policies

# METADATA
# title: Volume types
# custom:
#   id: volumes
#   level: baseline
#   checks: [hostPathVolumes]
#   has: is a volume of type {values}
#   allowed: no hostPath volumes
#   fix: replace {field} by a volume of another type, or remove the volume
baseline contains ["volumeTypes", "hostPath"] if input.volumeTypes.hostPath

# METADATA
# title: Volume types
# custom:
#   id: volumes
#   level: restricted
#   checks: [restrictedVolumes]
#   has: is a volume of type {values}
#   allowed: only {volumes.allowedTypes}
#   fix: replace {field} by a volume of an allowed type, or remove the volume
restricted contains ["volumeTypes", type] if {
	some type in input.volumeTypes
	not type in input.parameters.volumes.allowedTypes
}
