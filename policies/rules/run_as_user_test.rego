package run_as_user_test

import data.policies

test_root_is_refused if {
	policies.restricted == {["runAsUser", 0]} with input as {"userNamespace": false, "runAsUser": {0, 1000}}
}

test_other_users_pass if policies.restricted == set() with input as {"userNamespace": false, "runAsUser": {1, 65532}}

test_unset_passes if policies.restricted == set() with input as {"userNamespace": false}

test_pods_in_a_user_namespace_are_exempt if policies.restricted == set() with input as {"userNamespace": true, "runAsUser": {0}}

test_baseline_does_not_ask if policies.baseline == set() with input as {"userNamespace": false, "runAsUser": {0}}
