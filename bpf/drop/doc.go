// Package drop counts the network packets that the kernel drops, by reason, and
// tells of each one what it was.
//
// Open takes the best tier that it can have. With CAP_BPF and CAP_PERFMON it is
// the kernel tier: a program on the tracepoint kfree_skb counts every drop of
// the target, whatever its reason, and with Options.Detail each drop is an
// Event with addresses, ports, time and, for RTP, the sequence number. Without
// them it is the user tier: the counters of /proc/net/snmp and snmp6, which
// know four reasons of UDP.
//
// Counters are the metric: they miss nothing (but see Stats). Events are the
// detail: when the ring between kernel and reader is full, they are lost, and
// Stats says how many.
//
// The kernel numbers its reasons anew in each version. Names come from the
// running kernel and are those of include/net/dropreason-core.h without their
// prefix: SOCKET_RCVBUFF, QDISC_DROP, NO_SOCKET. One packet counts once: that a
// UDP receive-buffer drop raises two events is dealt with here.
//
// A packet is a socket buffer of the kernel. Where segmentation is offloaded
// (GSO, GRO) it may hold several packets of the wire.
package drop
