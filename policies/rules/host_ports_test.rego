package host_ports_test

import data.parameters
import data.policies

test_any_port_is_refused if {
	policies.baseline == {["hostPorts", 80], ["hostPorts", 8554]} with input as {"hostPorts": {80, 8554}, "parameters": parameters}
}

test_none_passes if policies.baseline == set() with input as {"parameters": parameters}

test_ports_follow_the_parameter if {
	ports := {8553, 8554, 8555, 29999, 30000, 30050, 30100, 30101}
	allowed := {"hostPorts": {"allowed": [[8554, 8554], [30000, 30100]]}}
	refused := {["hostPorts", port] | some port in {8553, 8555, 29999, 30101}}
	policies.baseline == refused with input as {"hostPorts": ports, "parameters": allowed}
}
