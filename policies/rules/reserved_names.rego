# Reserved names.
#
# Names that begin with debugsidecar- are for containers that the webhook
# injects, since a grant may give such a container more than its pod's owner
# could ask for. A container is ours if it is what the webhook renders; its name
# proves nothing.
#
# Restricted fields:
#   spec.containers[*].name
#   spec.initContainers[*].name
#   spec.ephemeralContainers[*].name
# Allowed values: any without the prefix, and those of our own containers
# Pod Security check: none
package policies

# METADATA
# title: Reserved container names
# custom:
#   id: reserved-names
#   level: baseline
#   checks: []
#   allowed: 'the prefix "debugsidecar-" only for containers that the webhook rendered: {why}'
#   fix: rename the container, or remove it and let the webhook inject it
baseline contains ["reservedNames", name] if some name in input.reservedNames
