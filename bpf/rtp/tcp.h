/*
 * RTP within RTSP's TCP connection (RFC 2326, 10.12; RFC 7826, 14). TCP hides
 * what the network lost, so its own signs of trouble are counted instead.
 */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04

struct stream {
	__u64 segments; /* with data */
	__u64 bytes;	/* of data, retransmitted ones once more */
	__u64 retransmits;
	__u64 zero_windows; /* segments by which this end says: no more */
	__u64 interleaved;  /* segments that begin with a frame */
	__u64 rtsp;	    /* segments that begin with RTSP's answer */
	__u64 last_ktime;
	__u32 next; /* the sequence number after the highest byte */
	__u32 started;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow_key);
	__type(value, struct stream);
	__uint(max_entries, 1024);
} streams SEC(".maps");

/* The same bytes as struct head's: what TCP's header begins with. */
struct tcp_head {
	__be16 sport, dport;
	__be32 seq, ack;
	__u8 offset, flags;
	__be16 window;
	__be16 check, urgent;
};

#define CHANNELS 64 /* more are not expected: a pair for each track */

enum content {
	OTHER,
	FRAME, /* '$', channel, length, and RTP or RTCP */
	PART,  /* the beginning of one, as far as can be told */
	RTSP,
};

/*
 * What a segment begins with. One byte says little in a stream of anybody's
 * data: so a frame has to end with the segment, or another has to follow.
 */
__noinline int look(struct __sk_buff *skb, __u32 tcx, __u32 at, __u32 size)
{
	__u32 length;
	__u8 b[8];

	if (size < sizeof(b) || load(skb, tcx, at, b, sizeof(b)))
		return OTHER;
	if (b[0] == 'R' && b[1] == 'T' && b[2] == 'S' && b[3] == 'P' && b[4] == '/')
		return RTSP;
	length = 4 + (b[2] << 8 | b[3]);
	if (b[0] != '$' || b[1] >= CHANNELS || b[4] >> 6 != 2 || length < 4 + RTCP_HEADER)
		return OTHER;
	if (length > size)
		return PART;
	if (length == size)
		return FRAME;
	if (load(skb, tcx, at + length, b, 1))
		return OTHER;
	return b[0] == '$' ? FRAME : OTHER;
}

/* The other direction of a connection. */
static __always_inline void reverse(struct flow_key *to, struct flow_key *from)
{
	__builtin_memcpy(to->saddr, from->daddr, 16);
	__builtin_memcpy(to->daddr, from->saddr, 16);
	to->sport = from->dport;
	to->dport = from->sport;
	to->ssrc = 0;
	to->ifindex = from->ifindex;
	to->family = from->family;
	/* On loopback both directions arrive. */
	to->direction = from->ifindex == LOOPBACK ? INGRESS : !from->direction;
	to->pad = 0;
}

static __always_inline struct stream *make_stream(struct flow_key *key)
{
	struct stream zero = {}, *s;
	struct flow_key other;
	struct state *state;
	__u32 index = 0;

	reverse(&other, key);
	bpf_map_update_elem(&streams, &other, &zero, BPF_NOEXIST);
	bpf_map_update_elem(&streams, key, &zero, BPF_NOEXIST);
	s = bpf_map_lookup_elem(&streams, key);
	state = bpf_map_lookup_elem(&states, &index);
	if (!s && state)
		state->tcp_refused++;
	return s;
}

__noinline int tcp(struct __sk_buff *skb, struct flow_key *of, struct head *h)
{
	struct flow_key on_stack, *key = &on_stack;
	struct tcp_head t;
	int content;
	struct stream *s;
	__u32 header, size, end;

	if (!of || !h)
		return 0;
	on_stack = *of;
	if (explicit_ports && !bpf_map_lookup_elem(&media_ports, &key->sport) &&
	    !bpf_map_lookup_elem(&media_ports, &key->dport))
		return 0;
	__builtin_memcpy(&t, h, sizeof(t));
	header = h->at + (t.offset >> 4) * 4;
	size = h->length > header ? h->length - header : 0;
	s = bpf_map_lookup_elem(&streams, key);
	content = size ? look(skb, h->tcx, header, size) : OTHER;
	if (!s) {
		if (content != FRAME && content != RTSP)
			return 0;
		s = make_stream(key);
		if (!s)
			return 0;
	}
	s->last_ktime = bpf_ktime_get_ns();
	if (content == FRAME || content == PART)
		INCREASE(s->interleaved, 1);
	else if (content == RTSP)
		INCREASE(s->rtsp, 1);
	if (!t.window && !(t.flags & (TCP_RST | TCP_SYN)))
		INCREASE(s->zero_windows, 1);
	if (!size)
		return 0;
	end = bpf_ntohl(t.seq) + size;
	if (s->started && size <= 1 && end == s->next)
		return 0; /* a keep-alive: the last byte again */
	INCREASE(s->segments, 1);
	INCREASE(s->bytes, size);
	if (s->started && (__s32)(bpf_ntohl(t.seq) - s->next) < 0)
		INCREASE(s->retransmits, 1);
	if (!s->started || (__s32)(end - s->next) > 0)
		s->next = end;
	s->started = 1;
	return 0;
}
