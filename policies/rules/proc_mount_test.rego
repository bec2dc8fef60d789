package proc_mount_test

import data.policies

test_only_default_passes if {
	refused := {["procMount", "Unmasked"], ["procMount", ""]}
	policies.baseline == refused with input as {"userNamespace": false, "procMount": {"Default", "Unmasked", ""}}
	policies.restricted == refused with input as {"userNamespace": false, "procMount": {"Default", "Unmasked", ""}}
}

test_a_user_namespace_exempts_at_baseline_alone if {
	policies.baseline == set() with input as {"userNamespace": true, "procMount": {"Unmasked"}}
	policies.restricted == {["procMount", "Unmasked"]} with input as {"userNamespace": true, "procMount": {"Unmasked"}}
}
