package apparmor_test

import data.policies

test_profiles_that_confine_pass if policies.baseline == set() with input as {"appArmorTypes": {"RuntimeDefault", "Localhost"}}

test_unconfined_is_refused if {
	refused := {["appArmorTypes", "Unconfined"], ["appArmorTypes", ""]}
	policies.baseline == refused with input as {"appArmorTypes": {"Unconfined", "", "Localhost"}}
}

test_annotations_that_confine_pass if {
	policies.baseline == set() with input as {"appArmorAnnotations": {"", "runtime/default", "localhost/camera"}}
}

test_other_annotations_are_refused if {
	refused := {["appArmorAnnotations", "unconfined"], ["appArmorAnnotations", "localhost"]}
	policies.baseline == refused with input as {"appArmorAnnotations": {"unconfined", "localhost"}}
}
