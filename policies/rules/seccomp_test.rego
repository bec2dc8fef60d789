package seccomp_test

import data.parameters
import data.policies

facts(own) := object.union({"windows": false, "parameters": parameters}, own)

types := {null, "", "Unconfined", "RuntimeDefault", "Localhost"}

test_baseline_refuses_what_does_not_filter if {
	refused := {["seccompTypes", ""], ["seccompTypes", "Unconfined"]}
	policies.baseline == refused with input as facts({"seccompTypes": types})
}

test_restricted_refuses_unset_as_well if {
	refused := {["seccompTypes", ""], ["seccompTypes", "Unconfined"], ["seccompTypes", null]}
	policies.restricted == refused with input as facts({"seccompTypes": types})
}

test_restricted_exempts_windows_pods if {
	policies.restricted == set() with input as facts({"windows": true, "seccompTypes": types})
}

test_both_levels_follow_the_parameter if {
	own := {"windows": false, "seccompTypes": {"RuntimeDefault", "Localhost"}, "parameters": {"seccomp": {"allowedTypes": ["Localhost"]}}}
	policies.baseline == {["seccompTypes", "RuntimeDefault"]} with input as own
	policies.restricted == {["seccompTypes", "RuntimeDefault"]} with input as own
}
