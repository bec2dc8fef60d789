package launch

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// renounce leaves the calling thread, and whatever it starts, without any
// capability for good. It takes no privilege.
//
// A program that root executes would get all of the bounding set back, which
// only CAP_SETPCAP can empty. With no_new_privs it gets at most what it had
// before, and that is nothing (cap_bprm_creds_from_file in the kernel's
// security/commoncap.c).
func renounce() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	for c := uintptr(0); unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) == nil; c++ {
		// Until EINVAL after the last one, or EPERM at the first.
	}
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("clearing ambient capabilities: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	return nil
}
