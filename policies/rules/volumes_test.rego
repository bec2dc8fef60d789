package volumes_test

import data.parameters
import data.policies

test_baseline_refuses_host_paths_alone if {
	policies.baseline == {["volumeTypes", "hostPath"]} with input as {"volumeTypes": {"hostPath", "nfs", "unknown", "emptyDir"}}
}

test_baseline_passes_without_host_paths if policies.baseline == set() with input as {"volumeTypes": {"nfs", "emptyDir"}}

test_restricted_allows_its_list if {
	types := {
		"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
		"persistentVolumeClaim", "projected", "secret",
	}
	policies.restricted == set() with input as {"volumeTypes": types, "parameters": parameters}
}

test_restricted_refuses_the_rest if {
	types := {"hostPath", "nfs", "unknown"}
	refused := {["volumeTypes", type] | some type in types}
	policies.restricted == refused with input as {"volumeTypes": (types | {"secret"}), "parameters": parameters}
}

test_restricted_follows_its_parameter if {
	own := {"volumeTypes": {"nfs", "secret"}, "parameters": {"volumes": {"allowedTypes": ["nfs"]}}}
	policies.restricted == {["volumeTypes", "secret"]} with input as own
}
