# Windows host processes.
#
# A host-process container runs on the Windows node itself, as a privileged one
# does on Linux. It must not be asked for.
#
# Restricted fields:
#   spec.securityContext.windowsOptions.hostProcess
#   spec.containers[*].securityContext.windowsOptions.hostProcess
#   spec.initContainers[*].securityContext.windowsOptions.hostProcess
#   spec.ephemeralContainers[*].securityContext.windowsOptions.hostProcess
# Allowed values: false, unset
# Pod Security check: windowsHostProcess
package policies

# METADATA
# title: Windows host processes
# custom:
#   id: windows-host-process
#   level: baseline
#   checks: [windowsHostProcess]
#   allowed: only false or unset
#   fix: set {field} to false
baseline contains ["hostProcess", true] if input.hostProcess[true]
