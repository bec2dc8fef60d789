package diagnose

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func kernelFindings() []Finding {
	const group = "kernel"
	release := Finding{Group: group, Name: "version", State: OK}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		release.State, release.Found = Info, err.Error()
	} else {
		release.Found = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:]) + ", " +
			unix.ByteSliceToString(name.Machine[:])
		if tooOld(unix.ByteSliceToString(name.Release[:])) {
			release.State, release.Costs, release.Takes = Limited, "the kernel tier", "Linux 6.1 or newer"
		}
	}
	types := Finding{Group: group, Name: "BTF", State: OK, Found: "there"}
	if f, err := os.Open("/sys/kernel/btf/vmlinux"); err != nil {
		types.State, types.Found = Limited, err.Error()
		types.Costs, types.Takes = "the kernel tier", "a kernel with CONFIG_DEBUG_INFO_BTF, and a sysfs at /sys"
	} else {
		f.Close()
	}
	return []Finding{release, types}
}

// tooOld says whether a release is before 6.1.
func tooOld(release string) bool {
	var major, minor int
	n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor)
	return n == 2 && (major < 6 || major == 6 && minor < 1)
}
