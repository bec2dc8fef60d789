package privilege_escalation_test

import data.policies

test_only_false_passes if {
	refused := {["allowPrivilegeEscalation", true], ["allowPrivilegeEscalation", null]}
	policies.restricted == refused with input as {"windows": false, "allowPrivilegeEscalation": {true, false, null}}
}

test_windows_pods_are_exempt if {
	policies.restricted == set() with input as {"windows": true, "allowPrivilegeEscalation": {null}}
}

test_baseline_does_not_ask if policies.baseline == set() with input as {"windows": false, "allowPrivilegeEscalation": {true}}
