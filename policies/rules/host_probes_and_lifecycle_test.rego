package host_probes_and_lifecycle_test

import data.policies

test_any_host_is_refused if {
	refused := {["probeHosts", "127.0.0.1"], ["probeHosts", "example.com"]}
	policies.baseline == refused with input as {"probeHosts": {"127.0.0.1", "example.com"}}
}

test_none_passes if policies.baseline == set() with input as {}
