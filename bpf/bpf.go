// Package bpf holds the words that the kernel probes share: whose events a
// probe reports, which tier of privilege it got, and what was missing for a
// better one. The probes are packages of their own:
//
//   - drop: network packets that the kernel dropped, by reason
//   - v4l2: frames that were lost in capture
//   - rtp: passive figures of RTP flows: loss, reorder, jitter, frames
//
// None of them needs anything but this folder and Linux 6.1 or newer with BTF.
// Each is opened with Open, which takes the best tier that it can have and
// says why it is not a better one, and ended with Close, which may be called
// any number of times from any goroutine.
//
// The capabilities are those of the process in the initial user namespace. No
// probe needs CAP_SYS_ADMIN, tracefs, or the host's process ids.
package bpf

// Tier is how a probe sees what it reports. The zero value is TierNone.
type Tier int

const (
	// TierNone sees nothing: the probe has no other source.
	TierNone Tier = iota
	// TierUser reads /proc: no capability, fewer reasons, no single events.
	TierUser
	// TierKernel runs BPF programs: every event, by reason, with its packet.
	TierKernel
)

// String returns none, user or kernel.
func (t Tier) String() string {
	switch t {
	case TierUser:
		return "user"
	case TierKernel:
		return "kernel"
	}
	return "none"
}

// Target says whose events are reported. The zero value is the caller's own
// network namespace.
//
// Neither the current process nor its control group tells whose packet the
// kernel drops: that code runs for whoever happens to be on the CPU. So the
// network namespace is read from the packet.
type Target struct {
	// Netns are inode numbers of network namespaces (bpf/netns finds them).
	// Empty: the caller's own, unless Cgroup or All is set.
	Netns []uint32
	// Cgroup is the id of a control group (v2): the inode number of its
	// directory. Its descendants count as well. For pods with hostNetwork,
	// which share a network namespace with the node: events without a socket
	// can't be told apart there and are left out.
	Cgroup uint64
	// All reports every network namespace of the node.
	All bool
}
