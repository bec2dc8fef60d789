package privileged_test

import data.policies

test_true_is_refused if policies.baseline == {["privileged", true]} with input as {"privileged": {true, false}}

test_false_passes if policies.baseline == set() with input as {"privileged": {false}}

test_unset_passes if policies.baseline == set() with input as {}
