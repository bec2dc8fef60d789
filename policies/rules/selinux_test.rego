package selinux_test

import data.parameters
import data.policies

test_types_for_containers_pass if {
	types := {"container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
	policies.baseline == set() with input as {"selinuxType": types, "parameters": parameters}
}

test_other_types_are_refused if {
	policies.baseline == {["selinuxType", "spc_t"]} with input as {"selinuxType": {"spc_t", "container_t"}, "parameters": parameters}
}

test_types_follow_the_parameter if {
	own := {"selinuxType": {"camera_t", "container_t"}, "parameters": {"selinux": {"allowedTypes": ["camera_t"]}}}
	policies.baseline == {["selinuxType", "container_t"]} with input as own
}

test_any_user_is_refused if policies.baseline == {["selinuxUser", "system_u"]} with input as {"selinuxUser": {"system_u"}}

test_any_role_is_refused if policies.baseline == {["selinuxRole", "system_r"]} with input as {"selinuxRole": {"system_r"}}

test_unset_passes if policies.baseline == set() with input as {}
