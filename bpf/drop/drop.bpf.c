//go:build ignore

/*
 * Packets that the kernel drops, by network namespace and reason.
 *
 * kfree_skb (include/trace/events/skb.h) is the one event that each drop
 * raises. Counters are the metric; the ring has the packet's addresses, and
 * its RTP header if it has one, for those who ask.
 */
#include "../internal/headers/kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "../internal/headers/cgroup.h"

char __license[] SEC("license") = "Dual MIT/GPL";

#define AF_INET 2
#define AF_INET6 10
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IPPROTO_HOPOPTS 0
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_DSTOPTS 60
#define TCP_TIME_WAIT 6
#define TCP_NEW_SYN_RECV 12
#define ENOMEM 12
#define ENOBUFS 105

/*
 * The smallest inode number that a network namespace has: the initial one has
 * a fixed number below PROC_DYNAMIC_FIRST since Linux 6.18
 * (include/uapi/linux/nsfs.h).
 */
#define NETNS_MIN 0xefffff00u

/* What Open found out about this kernel, and what it was asked for. */
const volatile bool has_rx_sk;		/* kfree_skb names the receiving socket */
const volatile bool detail;		/* events go to the ring, too */
const volatile bool all;		/* every network namespace */
const volatile __u32 only;		/* the one network namespace; 0: the map has them */
const volatile __u64 cgroup_id;		/* instead: this control group and its descendants */
const volatile __u32 reason_rcvbuff;	/* SKB_DROP_REASON_SOCKET_RCVBUFF and */
const volatile __u32 reason_proto_mem;	/* _PROTO_MEM of this kernel */

struct key {
	__u32 netns;
	__u32 reason;
	__u16 family; /* AF_INET, AF_INET6, or 0 */
	__u8 proto;
	__u8 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct key);
	__type(value, __u64);
	__uint(max_entries, 4096);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u8);
	__uint(max_entries, 1024);
} netns SEC(".maps");

struct event {
	__u64 ktime;
	struct key key;
	__u32 ifindex;
	__u32 len;
	__u16 sport;
	__u16 dport;
	__u8 saddr[16];
	__u8 daddr[16];
	__u32 ssrc;
	__u32 timestamp;
	__u16 seq;
	__u8 payload_type;
	__u8 is_rtp;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Per CPU: no one else writes them. */
struct state {
	__u64 lost;	/* events that the ring had no room for */
	__u64 overflow; /* drops that the counters had no room for */
	__u64 woken;	/* when the reader was woken last */
	struct event event; /* the one that is being described */
	struct key pending; /* a drop that waits for its socket */
	__u32 has_pending;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct state);
	__uint(max_entries, 1);
} states SEC(".maps");

static __always_inline bool is_pointer(const void *p)
{
	return (__s64)p < 0;
}

static __always_inline __u32 sane(__u32 inum)
{
	return inum >= NETNS_MIN ? inum : 0;
}

/*
 * Pointers come typed from the tracepoint, so the kernel's fields are plain
 * loads that give 0 where the address is wrong: an eighth of the cost of
 * bpf_probe_read_kernel.
 */
static __always_inline __u32 netns_of_sock(struct sock *sk)
{
	return sane(sk->__sk_common.skc_net.net->ns.inum);
}

/*
 * The receiving socket first, then the device, then the packet's own socket:
 * across a veth skb->sk is the sender's until ip_rcv. skb->dev shares its
 * place with UDP's scratch space, so it may be no pointer at all.
 */
static __always_inline __u32 netns_of(struct sk_buff *skb, struct sock *rx_sk, struct net_device *dev)
{
	struct sock *sk;
	__u32 inum;

	if (rx_sk) {
		inum = netns_of_sock(rx_sk);
		if (inum)
			return inum;
	}
	if (dev && is_pointer(dev)) {
		inum = sane(dev->nd_net.net->ns.inum);
		if (inum)
			return inum;
	}
	sk = skb->sk;
	return sk ? netns_of_sock(sk) : 0;
}

static __always_inline bool in_cgroup(struct sock *sk)
{
	struct cgroup *cgroup;
	__u8 state;

	if (!sk)
		return false;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV)
		return false; /* a small socket: it has no control group */
	cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	return is_pointer(cgroup) && is_below(cgroup, cgroup_id);
}

static __always_inline bool watched(__u32 inum)
{
	if (all)
		return true;
	if (only)
		return inum == only;
	return bpf_map_lookup_elem(&netns, &inum);
}

/* What both headers of IP begin with, as far as it is read here. */
struct ipv4 {
	__u8 version_ihl, tos;
	__u16 len, id, frag;
	__u8 ttl, proto;
	__u16 check;
	__u8 saddr[4], daddr[4];
};

struct ipv6 {
	__u8 version, flow[3];
	__u16 len;
	__u8 next, hops;
	__u8 saddr[16], daddr[16];
};

/* IPv6 extension headers that are stepped over. */
#define EXTENSIONS 4

/* Returns where the transport header is, 0 if it is not in this packet. */
static __always_inline __u32 parse_ip(struct sk_buff *skb, struct key *key, unsigned char *head, __u32 at,
				      struct event *e)
{
	if (key->family == AF_INET) {
		struct ipv4 ip;

		if (bpf_probe_read_kernel(&ip, sizeof(ip), head + at) || ip.version_ihl >> 4 != 4)
			return 0;
		key->proto = ip.proto;
		if (e) {
			__builtin_memcpy(e->saddr, ip.saddr, 4);
			__builtin_memcpy(e->daddr, ip.daddr, 4);
		}
		if (ip.frag & bpf_htons(0x1fff))
			return 0;
		return at + (ip.version_ihl & 15) * 4;
	}
	if (key->family == AF_INET6) {
		struct ipv6 ip;
		__u8 next, extension[2];

		if (bpf_probe_read_kernel(&ip, sizeof(ip), head + at) || ip.version >> 4 != 6)
			return 0;
		if (e) {
			__builtin_memcpy(e->saddr, ip.saddr, 16);
			__builtin_memcpy(e->daddr, ip.daddr, 16);
		}
		next = ip.next;
		at += sizeof(ip);
		for (int i = 0; i < EXTENSIONS; i++) {
			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
				break;
			if (bpf_probe_read_kernel(extension, sizeof(extension), head + at))
				break;
			next = extension[0];
			at += (extension[1] + 1) * 8;
		}
		key->proto = next;
		return at;
	}
	return 0;
}

/* Ports, and what follows UDP's header: one read for all. */
struct transport {
	__u16 sport, dport;
	__u16 len, check;
	__u8 version, payload_type;
	__u16 seq;
	__u32 timestamp, ssrc;
};

#define PORTS 4 /* bytes, of the above */

static __always_inline void parse_transport(struct event *e, __u8 proto, unsigned char *head, __u32 at, __u32 tail)
{
	struct transport t;

	if (proto != IPPROTO_UDP || at + sizeof(t) > tail) {
		if (bpf_probe_read_kernel(&t, PORTS, head + at))
			return;
		e->sport = bpf_ntohs(t.sport);
		e->dport = bpf_ntohs(t.dport);
		return;
	}
	if (bpf_probe_read_kernel(&t, sizeof(t), head + at))
		return;
	e->sport = bpf_ntohs(t.sport);
	e->dport = bpf_ntohs(t.dport);
	/* RTCP has the payload types 64 to 95 (RFC 5761, section 4). */
	if (t.version >> 6 != 2 || ((t.payload_type & 0x7f) >= 64 && (t.payload_type & 0x7f) < 96))
		return;
	e->is_rtp = 1;
	e->payload_type = t.payload_type & 0x7f;
	e->seq = bpf_ntohs(t.seq);
	e->timestamp = bpf_ntohl(t.timestamp);
	e->ssrc = bpf_ntohl(t.ssrc);
}

static __always_inline void describe(struct sk_buff *skb, struct net_device *dev, struct key *key, struct event *e)
{
	unsigned char *head = skb->head;
	__u32 at = skb->network_header;
	__u16 protocol = skb->protocol;

	if (protocol == bpf_htons(ETH_P_IP))
		key->family = AF_INET;
	else if (protocol == bpf_htons(ETH_P_IPV6))
		key->family = AF_INET6;
	at = parse_ip(skb, key, head, at, e);
	if (!e)
		return;
	e->len = skb->len;
	if (dev && is_pointer(dev))
		e->ifindex = dev->ifindex;
	if (at && (key->proto == IPPROTO_UDP || key->proto == IPPROTO_TCP))
		parse_transport(e, key->proto, head, at, skb->tail);
}

static __always_inline void count(struct state *state, struct key *key)
{
	__u64 one = 1, *n = bpf_map_lookup_elem(&counts, key);

	if (n) {
		*n += 1;
		return;
	}
	if (!bpf_map_update_elem(&counts, key, &one, BPF_NOEXIST))
		return;
	/* Another CPU was first, or the map is full. */
	n = bpf_map_lookup_elem(&counts, key);
	if (n)
		*n += 1;
	else
		state->overflow++;
}

/*
 * Wakes the reader if that was not done within the last millisecond: it polls
 * for a while after each wake-up, and an event costs 2 us less without one.
 */
static __always_inline __u64 wake(struct state *state, __u64 now)
{
	if (now - state->woken < 1000000)
		return BPF_RB_NO_WAKEUP;
	state->woken = now;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void report(struct state *state, struct event *e)
{
	if (bpf_ringbuf_output(&events, e, sizeof(*e), wake(state, e->ktime)))
		state->lost++;
}

SEC("tp_btf/kfree_skb")
int drop_kfree_skb(__u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct sock *rx_sk = has_rx_sk ? (void *)ctx[3] : NULL;
	struct net_device *dev = skb->dev;
	struct key key = {.reason = (__u32)ctx[2]};
	__u32 zero = 0;
	struct state *state;
	struct event *e;
	bool later;

	/*
	 * Before kfree_skb named the socket, a full receive buffer of UDP had
	 * neither that nor, mostly, a device. udp_fail_queue_rcv_skb comes right
	 * after, on this CPU with softirqs off, and has the socket.
	 */
	later = !has_rx_sk && (key.reason == reason_rcvbuff || key.reason == reason_proto_mem);
	key.netns = netns_of(skb, rx_sk, dev);
	if (cgroup_id) {
		if (!later && !in_cgroup(rx_sk ? rx_sk : skb->sk))
			return 0;
	} else if (key.netns && !watched(key.netns)) {
		return 0;
	}
	state = bpf_map_lookup_elem(&states, &zero);
	if (!state)
		return 0;
	e = NULL;
	if (detail) {
		e = &state->event;
		__builtin_memset(e, 0, sizeof(*e));
		e->ktime = bpf_ktime_get_ns();
	}
	describe(skb, dev, &key, e);
	if (later) {
		if (key.proto == IPPROTO_UDP && (cgroup_id || !key.netns)) {
			state->pending = key;
			state->has_pending = 1;
			return 0;
		}
		if (cgroup_id && !in_cgroup(skb->sk))
			return 0;
	}
	if (!key.netns && cgroup_id)
		return 0;
	/* What nobody can tell whose it was is counted with namespace 0. */
	count(state, &key);
	if (detail && (key.netns || all)) {
		e->key = key;
		report(state, e);
	}
	return 0;
}

/* Attached only where kfree_skb does not name the receiving socket. */
SEC("tp_btf/udp_fail_queue_rcv_skb")
int drop_udp_fail(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[1];
	__u32 zero = 0;
	struct state *state = bpf_map_lookup_elem(&states, &zero);
	struct key key;

	if (!state || !state->has_pending)
		return 0;
	state->has_pending = 0;
	key = state->pending;
	key.netns = netns_of_sock(sk);
	if (cgroup_id ? !in_cgroup(sk) : !watched(key.netns))
		return 0;
	count(state, &key);
	if (detail) {
		state->event.key = key;
		report(state, &state->event);
	}
	return 0;
}
