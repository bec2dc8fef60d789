# Host namespaces.
#
# Sharing the node's network, process or IPC namespace shows a pod what other
# pods and the node itself do. It must not be asked for.
#
# Restricted fields:
#   spec.hostNetwork
#   spec.hostPID
#   spec.hostIPC
# Allowed values: false, unset
# Pod Security check: hostNamespaces
package policies

# METADATA
# title: Host namespaces
# custom:
#   id: host-namespaces
#   level: baseline
#   checks: [hostNamespaces]
#   has: is true
#   allowed: only false or unset
#   fix: set {field} to false
baseline contains ["hostNamespaces", namespace] if some namespace in input.hostNamespaces
