/*
 * RTP within RTSP's TCP connection (RFC 2326, 10.12; RFC 7826, 14). TCP hides
 * what the network lost, so its own signs of trouble are counted instead.
 */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04

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
__noinline int look(struct __sk_buff *skb, struct head *h, __u32 at, __u32 size)
{
	__u32 length;
	__u8 b[8];

	if (!h || size < sizeof(b) || load(skb, h, at, b, sizeof(b)))
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
	if (load(skb, h, at + length, b, 1))
		return OTHER;
	return b[0] == '$' ? FRAME : OTHER;
}

/*
 * The other direction of a connection. In words of 8 bytes: Linux 6.1 does not let
 * a part of a place on the stack be written that it takes for a saved register.
 */
static __always_inline void reverse(struct flow_key *to, struct flow_key *from)
{
	__u64 *t = (__u64 *)to, *f = (__u64 *)from;

	t[0] = f[2];
	t[1] = f[3];
	t[2] = f[0];
	t[3] = f[1];
	t[4] = (__u64)from->sport << 16 | from->dport;
	/* On loopback both directions arrive; elsewhere the lowest bit of direction. */
	t[5] = f[5] ^ (from->ifindex == LOOPBACK ? 0 : 1ull << 48);
}

static __always_inline struct stream *make_stream(struct flow_key *key)
{
	struct flow_key other;
	struct state *state;
	struct stream *s;
	__u32 index = 0;

	state = bpf_map_lookup_elem(&states, &index);
	if (!state)
		return NULL;
	reverse(&other, key);
	bpf_map_update_elem(&streams, &other, &state->fresh_stream, BPF_NOEXIST);
	bpf_map_update_elem(&streams, key, &state->fresh_stream, BPF_NOEXIST);
	s = bpf_map_lookup_elem(&streams, key);
	if (!s)
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
	content = size ? look(skb, h, header, size) : OTHER;
	if (!s) {
		if (content != FRAME && content != RTSP)
			return 0;
		s = make_stream(key);
		if (!s)
			return 0;
	}
	s->last_ktime = bpf_ktime_get_ns();
	if (content == RTSP)
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
	if (s->started && (__s32)(end - s->next) <= 0)
		return 0;
	if (content == FRAME || content == PART)
		INCREASE(s->interleaved, 1);
	s->next = end;
	s->started = 1;
	return 0;
}
