package capabilities_test

import data.parameters
import data.policies

facts(own) := object.union({"windows": false, "parameters": parameters}, own)

test_baseline_refuses_what_is_not_listed if {
	added := {"SYS_ADMIN", "NET_RAW", "ALL", "CAP_CHOWN", "chown", ""}
	policies.baseline == {["capabilitiesAdd", name] | some name in added} with input as facts({"capabilitiesAdd": added | {"CHOWN"}})
}

test_baseline_allows_the_default_set if {
	added := {
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
		"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
	}
	policies.baseline == set() with input as facts({"capabilitiesAdd": added})
}

test_baseline_follows_its_parameter if {
	own := {"capabilitiesAdd": {"NET_RAW", "CHOWN"}, "parameters": {"capabilities": {"allowedAdd": ["NET_RAW"]}}}
	policies.baseline == {["capabilitiesAdd", "CHOWN"]} with input as own
}

test_baseline_allows_what_a_grant_lifts if policies.baseline == set() with input as facts({"capabilitiesGranted": {"BPF"}})

test_baseline_allows_what_the_image_may_add if policies.baseline == set() with input as facts({"capabilitiesOfImage": {"NET_RAW"}})

test_baseline_refuses_what_only_another_container_may_add if {
	own := {"capabilitiesOfImage": {"NET_RAW"}, "capabilitiesAdd": {"NET_RAW"}}
	policies.baseline == {["capabilitiesAdd", "NET_RAW"]} with input as facts(own)
}

test_baseline_asks_for_no_drop if policies.baseline == set() with input as facts({"capabilitiesDrop": {set()}})

test_restricted_allows_only_net_bind_service if {
	added := {"NET_BIND_SERVICE", "CHOWN", "SYS_ADMIN"}
	policies.restricted == {["capabilitiesAdd", "CHOWN"], ["capabilitiesAdd", "SYS_ADMIN"]} with input as facts({"capabilitiesAdd": added})
}

test_restricted_follows_its_parameter if {
	own := {"windows": false, "capabilitiesAdd": {"CHOWN"}, "parameters": {"capabilities": {"allowedAddRestricted": ["CHOWN"]}}}
	policies.restricted == set() with input as own
}

test_restricted_knows_no_grant if {
	policies.restricted == {["capabilitiesGranted", "BPF"]} with input as facts({"capabilitiesGranted": {"BPF", "NET_BIND_SERVICE"}})
}

test_restricted_knows_no_image if {
	policies.restricted == {["capabilitiesOfImage", "NET_RAW"]} with input as facts({"capabilitiesOfImage": {"NET_RAW", "NET_BIND_SERVICE"}})
}

test_restricted_wants_all_dropped if {
	dropped := {set(), {"NET_RAW"}, {"all"}, {"ALL"}, {"ALL", "NET_RAW"}}
	refused := {["capabilitiesDrop", set()], ["capabilitiesDrop", {"NET_RAW"}], ["capabilitiesDrop", {"all"}]}
	policies.restricted == refused with input as facts({"capabilitiesDrop": dropped})
}

test_restricted_exempts_windows_pods if {
	own := {"windows": true, "capabilitiesAdd": {"CHOWN"}, "capabilitiesGranted": {"BPF"}, "capabilitiesOfImage": {"NET_RAW"}, "capabilitiesDrop": {set()}}
	policies.restricted == set() with input as facts(own)
}
