# Hosts of probes and lifecycle handlers.
#
# The kubelet sends probes and handlers' requests from the node. A host of one's
# own would make it reach what the pod can't (server-side request forgery).
#
# Restricted fields, in containers, initContainers and ephemeralContainers:
#   {livenessProbe,readinessProbe,startupProbe}.{httpGet,tcpSocket}.host
#   lifecycle.{postStart,preStop}.{httpGet,tcpSocket}.host
# Allowed values: unset, empty
# Pod Security check: hostProbesAndHostLifecycle
package policies

# METADATA
# title: Hosts of probes and lifecycle handlers
# custom:
#   id: host-probes-and-lifecycle
#   level: baseline
#   checks: [hostProbesAndHostLifecycle]
#   allowed: no host
#   fix: remove {field}, so that the kubelet uses the pod's own address
baseline contains ["probeHosts", host] if some host in input.probeHosts
