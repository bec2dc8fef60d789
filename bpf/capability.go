package bpf

import (
	"fmt"
	"strings"
)

// Capability is a Linux capability by its number (include/uapi/linux/capability.h).
type Capability uint

// The capabilities that a probe may name.
const (
	NetAdmin Capability = 12
	NetRaw   Capability = 13
	SysAdmin Capability = 21
	Perfmon  Capability = 38
	BPF      Capability = 39
)

// String returns the kernel's name, as CAP_BPF.
func (c Capability) String() string {
	switch c {
	case NetAdmin:
		return "CAP_NET_ADMIN"
	case NetRaw:
		return "CAP_NET_RAW"
	case SysAdmin:
		return "CAP_SYS_ADMIN"
	case Perfmon:
		return "CAP_PERFMON"
	case BPF:
		return "CAP_BPF"
	}
	return fmt.Sprintf("capability %d", uint(c))
}

// UnavailableError says that something can't be had, and what it would take.
// A figure that is unavailable is never reported as zero.
type UnavailableError struct {
	// What can't be had: "drop events", "v4l2 frames".
	What string
	// Missing are the capabilities that the process lacks, if that is the cause.
	Missing []Capability
	// Err is the cause otherwise: an old kernel, no BTF, a user namespace.
	Err error
}

// Error returns one line: what, and what it needs.
func (e *UnavailableError) Error() string {
	if len(e.Missing) == 0 {
		return fmt.Sprintf("%s: not available: %v", e.What, e.Err)
	}
	names := make([]string, len(e.Missing))
	for i, c := range e.Missing {
		names[i] = c.String()
	}
	return fmt.Sprintf("%s: not available: needs %s", e.What, strings.Join(names, " and "))
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }
