package sysctls_test

import data.parameters
import data.policies

test_safe_sysctls_pass if {
	safe := {
		"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
		"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
		"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
		"net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_rmem", "net.ipv4.tcp_slow_start_after_idle",
		"net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
	}
	policies.baseline == set() with input as {"sysctls": safe, "parameters": parameters}
}

test_others_are_refused if {
	named := {"net.core.rmem_max", "kernel.msgmax", "net/ipv4/tcp_rmem", ""}
	policies.baseline == {["sysctls", name] | some name in named} with input as {"sysctls": named, "parameters": parameters}
}

test_the_parameter_adds_to_the_safe_ones if {
	own := {
		"sysctls": {"net.core.somaxconn", "net.ipv4.tcp_rmem", "kernel.msgmax"},
		"parameters": {"sysctls": {"allowed": ["net.core.somaxconn"]}},
	}
	policies.baseline == {["sysctls", "kernel.msgmax"]} with input as own
}
