/* Headers on the wire: IP, and the first bytes of what it carries. */

#define ETH_HLEN 14
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IPPROTO_HOPOPTS 0
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
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
static __always_inline int load_with(struct __sk_buff *skb, __u32 base, __u32 at, void *to, __u32 size)
{
	if (!bpf_skb_load_bytes_relative(skb, at, to, size, BPF_HDR_START_NET))
		return 0;
	return bpf_skb_load_bytes(skb, base + at, to, size);
}

/* The same where the network header is looked for only if it has to be. */
static __always_inline int load_at(struct __sk_buff *skb, __u8 tcx, __u32 at, void *to, __u32 size)
{
	if (!bpf_skb_load_bytes_relative(skb, at, to, size, BPF_HDR_START_NET))
		return 0;
	return bpf_skb_load_bytes(skb, base_of(skb, tcx) + at, to, size);
}

static __always_inline int load(struct __sk_buff *skb, struct head *h, __u32 at, void *to, __u32 size)
{
	if (!bpf_skb_load_bytes_relative(skb, at, to, size, BPF_HDR_START_NET))
		return 0;
	/*
	 * Read only now, else the compiler puts it on the stack, where Linux 6.1
	 * does not let a part of a place be written that a whole was written to.
	 */
	return bpf_skb_load_bytes(skb, base_of(skb, *(volatile __u8 *)&h->tcx) + at, to, size);
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

	if (load(skb, h, 0, &ip, sizeof(ip)) && load(skb, h, 0, &ip, sizeof(ip) - SHORT))
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
	else if (load(skb, h, h->at, h, HEAD))
		return -1;
	ports(key, h);
	return 0;
}

#define EXTENSIONS 4 /* of IPv6, that are stepped over */

/* Steps over an extension header, if that is what comes next. */
__noinline int extension(struct __sk_buff *skb, struct head *h)
{
	__u8 e[4]; /* the next header, length, or a fragment's offset */

	if (!h)
		return -1;
	if (h->proto != IPPROTO_HOPOPTS && h->proto != IPPROTO_ROUTING && h->proto != IPPROTO_DSTOPTS &&
	    h->proto != IPPROTO_FRAGMENT)
		return 0;
	if (load(skb, h, h->at, e, sizeof(e)))
		return -1;
	if (h->proto == IPPROTO_FRAGMENT) {
		if (e[2] || e[3] & 0xf8)
			return -1; /* not the first one */
		e[1] = 0;
	}
	h->at += (e[1] + 1) * 8;
	h->proto = e[0];
	return 0;
}

static __always_inline int ipv6(struct __sk_buff *skb, struct flow_key *key, struct head *h)
{
	struct ipv6_head ip;

	if (load(skb, h, 0, &ip, sizeof(ip)) && load(skb, h, 0, &ip, sizeof(ip) - SHORT))
		return -1;
	__builtin_memcpy(key->saddr, ip.saddr, 16);
	__builtin_memcpy(key->daddr, ip.daddr, 16);
	key->family = 6;
	h->length = 40 + bpf_ntohs(ip.len);
	h->proto = ip.next_header;
	h->at = 40;
	if (h->proto == IPPROTO_UDP || h->proto == IPPROTO_TCP) {
		__builtin_memcpy(h, ip.next, HEAD);
	} else {
#pragma unroll
		for (int i = 0; i < EXTENSIONS; i++)
			if (extension(skb, h))
				return -1;
		if ((h->proto != IPPROTO_UDP && h->proto != IPPROTO_TCP) || load(skb, h, h->at, h, HEAD))
			return -1;
	}
	ports(key, h);
	return 0;
}

/* RFC 5761, section 4: with the marker bit, RTCP's types are 192 to 223. */
static __always_inline bool is_rtcp(__u8 second) { return second >= 192 && second < 224; }

/* A function, so that the headers' bytes do not stay on the stack of what follows. */
__noinline int parse(struct __sk_buff *skb, struct flow_key *key, struct head *h)
{
	if (!key || !h)
		return -1;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return ipv4(skb, key, h);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return ipv6(skb, key, h);
	return -1;
}
