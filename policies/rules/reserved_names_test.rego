package reserved_names_test

import data.policies

test_each_name_that_is_not_ours_is_refused if {
	refused := {["reservedNames", "debugsidecar-a"], ["reservedNames", "debugsidecar-b"]}
	policies.baseline == refused with input as {"reservedNames": {"debugsidecar-a", "debugsidecar-b"}}
}

test_none_passes if policies.baseline == set() with input as {}
