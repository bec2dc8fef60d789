package run_as_non_root_test

import data.policies

test_only_true_passes if {
	refused := {["runAsNonRoot", false], ["runAsNonRoot", null]}
	policies.restricted == refused with input as {"userNamespace": false, "runAsNonRoot": {true, false, null}}
}

test_pods_in_a_user_namespace_are_exempt if {
	policies.restricted == set() with input as {"userNamespace": true, "runAsNonRoot": {false, null}}
}

test_baseline_does_not_ask if policies.baseline == set() with input as {"userNamespace": false, "runAsNonRoot": {false}}
