package diagnose

import (
	"fmt"
	"math/bits"
	"strings"
)

// capabilityNames are those of include/uapi/linux/capability.h, by number.
var capabilityNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

// capabilities names a set as Kubernetes does, without CAP_.
func capabilities(set uint64) string {
	if set == 0 {
		return "none"
	}
	const known = uint64(1)<<len(capabilityNames) - 1
	if missing := known &^ set; bits.OnesCount64(missing) < bits.OnesCount64(set&known) {
		if missing == 0 {
			return "all"
		}
		return "all but " + strings.Join(namesOf(missing), ", ")
	}
	return strings.Join(namesOf(set), ", ")
}

func namesOf(set uint64) (names []string) {
	for ; set != 0; set &= set - 1 {
		n := bits.TrailingZeros64(set)
		if n < len(capabilityNames) {
			names = append(names, capabilityNames[n])
		} else {
			names = append(names, fmt.Sprintf("number %d", n))
		}
	}
	return names
}
