/* Headers on the wire: IP, and the first bytes of what it carries. */

#define ETH_HLEN 14
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IPPROTO_HOPOPTS 0
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ROUTING 43
#define IPPROTO_DSTOPTS 60
#define PACKET_OTHERHOST 3
#define PACKET_OUTGOING 4
#define TCX_NEXT -1
#define LOOPBACK 1 /* its index in every network namespace (LOOPBACK_IFINDEX) */

#define INGRESS 0
#define EGRESS 1

#define RTP_HEADER 12
#define RTCP_HEADER 8 /* with a source, as all that is looked at here */

struct flow_key {
	__u8 saddr[16], daddr[16]; /* IPv4: the first four bytes */
	__u16 sport, dport;	   /* host byte order */
	__u32 ssrc;
	__u32 ifindex;
	__u16 family; /* 4 or 6 */
	__u8 direction;
	__u8 pad;
};

/* What follows IP's header: UDP and RTP, or the same number of TCP's bytes. */
struct head {
	__u16 sport, dport; /* network byte order, as all here */
	__u16 udp_len, check;
	__u8 rtp[RTP_HEADER];
	__u32 at;     /* where this stands, from the network header */
	__u32 length; /* of the packet, from the network header */
	__u8 proto;
	__u8 tcx; /* where the packet is looked at */
	__u8 pad[2];
};

#define HEAD 20 /* bytes of it that come from the packet */
#define SHORT (RTP_HEADER - RTCP_HEADER)

struct ipv4_head {
	__u8 version_ihl, tos;
	__u16 len, id, frag;
	__u8 ttl, proto;
	__u16 check;
	__u8 saddr[4], daddr[4];
	__u8 next[HEAD];
};

struct ipv6_head {
	__u8 version, flow[3];
	__u16 len;
	__u8 next_header, hops;
	__u8 saddr[16], daddr[16];
	__u8 next[HEAD];
};

/*
 * Where the network header is in the packet's data. A packet socket of type
 * SOCK_DGRAM begins there; at an interface there is Ethernet's header before it,
 * or none (tun, WireGuard).
 */
__noinline __u32 base_of(struct __sk_buff *skb, __u8 tcx)
{
	__u32 header, data;

	if (!tcx || bpf_skb_load_bytes_relative(skb, 0, &header, sizeof(header), BPF_HDR_START_NET) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN, &data, sizeof(data)))
		return 0;
	return data == header ? ETH_HLEN : 0;
}

/*
 * The first helper is the quick one, but sees only what is in the packet's own
 * buffer. Network cards leave payload in pages, and so does UDP_SEGMENT.
 */
static __always_inline int load(struct __sk_buff *skb, __u8 tcx, __u32 at, void *to, __u32 size)
{
	if (!bpf_skb_load_bytes_relative(skb, at, to, size, BPF_HDR_START_NET))
		return 0;
	return bpf_skb_load_bytes(skb, base_of(skb, tcx) + at, to, size);
}

static __always_inline void ports(struct flow_key *key, struct head *h)
{
	key->sport = bpf_ntohs(h->sport);
	key->dport = bpf_ntohs(h->dport);
}

/* Both return 0 if the packet is one to look at. One load does for most. */
static __always_inline int ipv4(struct __sk_buff *skb, struct flow_key *key, struct head *h)
{
	struct ipv4_head ip;

	if (load(skb, h->tcx, 0, &ip, sizeof(ip)) && load(skb, h->tcx, 0, &ip, sizeof(ip) - SHORT))
		return -1;
	if ((ip.proto != IPPROTO_UDP && ip.proto != IPPROTO_TCP) || ip.frag & bpf_htons(0x1fff))
		return -1;
	__builtin_memcpy(key->saddr, ip.saddr, 4);
	__builtin_memcpy(key->daddr, ip.daddr, 4);
	key->family = 4;
	h->proto = ip.proto;
	h->at = (ip.version_ihl & 15) * 4;
	h->length = bpf_ntohs(ip.len);
	if (h->at == 20)
		__builtin_memcpy(h, ip.next, HEAD);
	else if (load(skb, h->tcx, h->at, h, HEAD))
		return -1;
	ports(key, h);
	return 0;
}

#define EXTENSIONS 4 /* of IPv6, that are stepped over */

static __always_inline int ipv6(struct __sk_buff *skb, struct flow_key *key, struct head *h)
{
	struct ipv6_head ip;
	__u8 extension[2], next;
	__u32 at = 40;

	if (load(skb, h->tcx, 0, &ip, sizeof(ip)) && load(skb, h->tcx, 0, &ip, sizeof(ip) - SHORT))
		return -1;
	next = ip.next_header;
	if (next == IPPROTO_UDP || next == IPPROTO_TCP) {
		__builtin_memcpy(h, ip.next, HEAD);
	} else {
#pragma unroll
		for (int i = 0; i < EXTENSIONS; i++) {
			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
				break;
			if (load(skb, h->tcx, at, extension, sizeof(extension)))
				return -1;
			next = extension[0];
			at += (extension[1] + 1) * 8;
		}
		if ((next != IPPROTO_UDP && next != IPPROTO_TCP) || load(skb, h->tcx, at, h, HEAD))
			return -1;
	}
	__builtin_memcpy(key->saddr, ip.saddr, 16);
	__builtin_memcpy(key->daddr, ip.daddr, 16);
	key->family = 6;
	h->proto = next;
	h->at = at;
	h->length = 40 + bpf_ntohs(ip.len);
	ports(key, h);
	return 0;
}

/* RFC 5761, section 4: with the marker bit, RTCP's types are 192 to 223. */
static __always_inline bool is_rtcp(__u8 second) { return second >= 192 && second < 224; }
