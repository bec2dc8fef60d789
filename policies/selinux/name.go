package selinux

import "errors"

// CheckName says what is wrong with the name of a user, a role or a type; nil if
// it could stand in a policy. Whether it does stand in the node's, nobody knows
// but the node.
func CheckName(name string) error {
	letter := func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
	for i := range len(name) {
		c := name[i]
		if !letter(c) && (i == 0 || c != '_' && c != '-' && c != '.' && (c < '0' || c > '9')) {
			return errBadName
		}
	}
	if name == "" || len(name) > maxName {
		return errBadName
	}
	return nil
}

const maxName = 128

var errBadName = errors.New("want a name such as container_t: letters, digits, _, - and ., a letter first")
