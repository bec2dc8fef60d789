# Sysctls.
#
# A sysctl may disable a security mechanism or change the whole node; only those
# that are namespaced and isolated from other pods are safe.
#
# Restricted fields:
#   spec.securityContext.sysctls[*].name
# Allowed values: the safe set below, and the parameter sysctls.allowed, which is
#   empty unless set
# Pod Security check: sysctls
package policies

# METADATA
# title: Sysctls
# custom:
#   id: sysctls
#   level: baseline
#   checks: [sysctls]
#   allowed: 'only sysctls that Kubernetes calls safe, and besides: {sysctls.allowed}'
#   fix: remove {values} from the pod's sysctls
baseline contains ["sysctls", name] if {
	some name in input.sysctls
	not name in {
		"kernel.shm_rmid_forced",
		"net.ipv4.ip_local_port_range",
		"net.ipv4.ip_local_reserved_ports",
		"net.ipv4.ip_unprivileged_port_start",
		"net.ipv4.ping_group_range",
		"net.ipv4.tcp_fin_timeout",
		"net.ipv4.tcp_keepalive_intvl",
		"net.ipv4.tcp_keepalive_probes",
		"net.ipv4.tcp_keepalive_time",
		"net.ipv4.tcp_notsent_lowat",
		"net.ipv4.tcp_rmem",
		"net.ipv4.tcp_slow_start_after_idle",
		"net.ipv4.tcp_syncookies",
		"net.ipv4.tcp_wmem",
	}
	not name in input.parameters.sysctls.allowed
}
