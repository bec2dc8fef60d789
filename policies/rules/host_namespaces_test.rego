package host_namespaces_test

import data.policies

test_each_shared_namespace_is_refused if {
	refused := {["hostNamespaces", "hostPID"], ["hostNamespaces", "hostIPC"], ["hostNamespaces", "hostNetwork"]}
	policies.baseline == refused with input as {"hostNamespaces": {"hostNetwork", "hostPID", "hostIPC"}}
}

test_none_passes if policies.baseline == set() with input as {}
