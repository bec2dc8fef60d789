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

test_a_list_does_not_allow_spc_t if {
	own := {"selinuxType": {"spc_t"}, "parameters": {"selinux": {"allowedTypes": ["spc_t"], "allowSpc": false}}}
	policies.baseline == {["selinuxType", "spc_t"]} with input as own
}

test_spc_t_has_a_parameter_of_its_own if {
	own := {"selinuxType": {"spc_t", "init_t"}, "parameters": {"selinux": {"allowedTypes": [], "allowSpc": true}}}
	policies.baseline == {["selinuxType", "init_t"]} with input as own
}

test_any_user_is_refused if {
	policies.baseline == {["selinuxUser", "system_u"]} with input as {"selinuxUser": {"system_u"}, "parameters": parameters}
}

test_users_follow_the_parameter if {
	own := {"selinuxUser": {"system_u", "staff_u"}, "parameters": {"selinux": {"allowedUsers": ["system_u"]}}}
	policies.baseline == {["selinuxUser", "staff_u"]} with input as own
}

test_any_role_is_refused if {
	policies.baseline == {["selinuxRole", "system_r"]} with input as {"selinuxRole": {"system_r"}, "parameters": parameters}
}

test_roles_follow_the_parameter if {
	own := {"selinuxRole": {"system_r", "staff_r"}, "parameters": {"selinux": {"allowedRoles": ["system_r"]}}}
	policies.baseline == {["selinuxRole", "staff_r"]} with input as own
}

test_levels_within_the_range_pass if {
	policies.baseline == set() with input as {"selinuxLevel": {"s0:c1", "s0"}, "selinuxLevelWithin": {"s0:c1", "s0"}}
}

test_levels_outside_the_range_are_refused if {
	own := {"selinuxLevel": {"s0:c1", "s0:c7", "?"}, "selinuxLevelWithin": {"s0:c1"}}
	policies.baseline == {["selinuxLevel", "s0:c7"], ["selinuxLevel", "?"]} with input as own
}

test_levels_are_refused_where_none_is_within if {
	policies.baseline == {["selinuxLevel", "s0"]} with input as {"selinuxLevel": {"s0"}}
}

test_unset_passes if policies.baseline == set() with input as {}
