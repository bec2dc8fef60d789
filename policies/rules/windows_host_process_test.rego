package windows_host_process_test

import data.policies

test_true_is_refused if policies.baseline == {["hostProcess", true]} with input as {"hostProcess": {true, false}}

test_false_passes if policies.baseline == set() with input as {"hostProcess": {false}}

test_unset_passes if policies.baseline == set() with input as {}
