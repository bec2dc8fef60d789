//go:build ignore

/*
 * Figures of RTP flows (RFC 3550), from packets that pass by. Nothing is copied
 * to user space but gaps in the sequence, one event each.
 */
#include "../internal/headers/kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

char __license[] SEC("license") = "Dual MIT/GPL";

#include "wire.h"
#include "keys.h"
#include "flow.h"
#include "rtcp.h"
#include "tcp.h"

static __always_inline int udp(struct __sk_buff *skb, struct flow_key *key, struct head *h)
{
	__u16 length = bpf_ntohs(h->udp_len);
	struct packet p;

	if (h->rtp[0] >> 6 != 2 || length < 8 + RTCP_HEADER)
		return 0;
	if (is_rtcp(h->rtp[1])) {
		if (watched(key->sport, key->dport, 1))
			rtcp(skb, key, h->at + 8, length - 8, h->tcx);
		return 0;
	}
	if (length < 8 + RTP_HEADER)
		return 0;
	p = (struct packet){
		.now = bpf_ktime_get_ns(),
		.timestamp = bpf_ntohl(*(__u32 *)(h->rtp + 4)),
		.seq = bpf_ntohs(*(__u16 *)(h->rtp + 2)),
		.payload_type = h->rtp[1] & 0x7f,
		.marker = h->rtp[1] >> 7,
		.len = h->at + length,
		.tcx = h->tcx,
	};
	key->ssrc = bpf_ntohl(*(__u32 *)(h->rtp + 8));
	if (skb->gso_size)
		return segments(skb, key, &p, h, length - 8);
	if (video(p.payload_type))
		p.carries = carried(skb, h->tcx, h->at + 8, length - 8, h->rtp[0]);
	return count(key, &p);
}

static __always_inline int tap(struct __sk_buff *skb, __u8 tcx, __u8 direction)
{
	struct flow_key key = {};
	struct head h = {.tcx = tcx};

	key.direction = direction;
	key.ifindex = skb->ifindex;
	/* A packet on loopback leaves and arrives: it counts when it arrives. */
	if (key.ifindex == LOOPBACK && direction == EGRESS)
		return 0;
	if (parse(skb, &key, &h))
		return 0;
	if (h.proto == IPPROTO_UDP)
		return udp(skb, &key, &h);
	return tcp(skb, &key, &h);
}

/*
 * A socket pays for its filter from what it may have of option memory
 * (net.core.optmem_max, 20 KiB before Linux 6.8), and this program is larger. So
 * the filter is a small one that goes on to it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} next SEC(".maps");

/* On an AF_PACKET socket: 0 keeps the packet from its queue. */
SEC("socket")
int tap_packet(struct __sk_buff *skb)
{
	if (skb->pkt_type == PACKET_OTHERHOST)
		return 0;
	bpf_tail_call(skb, &next, 0);
	return 0;
}

SEC("socket")
int tap_packet_all(struct __sk_buff *skb)
{
	tap(skb, 0, skb->pkt_type == PACKET_OUTGOING ? EGRESS : INGRESS);
	return 0;
}

SEC("tcx/ingress")
int tap_ingress(struct __sk_buff *skb)
{
	tap(skb, 1, INGRESS);
	return TCX_NEXT;
}

SEC("tcx/egress")
int tap_egress(struct __sk_buff *skb)
{
	tap(skb, 1, EGRESS);
	return TCX_NEXT;
}
