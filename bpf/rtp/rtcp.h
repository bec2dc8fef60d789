/* What the ends of a flow tell each other about it: RTCP (RFC 3550, 4585, 5104). */

#define RTCP_SR 200
#define RTCP_RR 201
#define RTCP_BYE 203
#define RTCP_RTPFB 205
#define RTCP_PSFB 206
#define FMT_NACK 1
#define FMT_PLI 1
#define FMT_FIR 4

#define MAX_PACKETS 8 /* in a compound packet */
#define MAX_BLOCKS 31 /* reports in a packet: its count has five bits */
#define MAX_NACKS 32

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct source);
	__type(value, struct control);
	__uint(max_entries, 8192);
} controls SEC(".maps");

static __always_inline struct control *control_of(struct state *state, struct source *s, struct flow_key *key,
						  __be32 ssrc, int from_sender)
{
	struct control *c;

	__builtin_memcpy(s->saddr, from_sender ? key->saddr : key->daddr, 16);
	__builtin_memcpy(s->daddr, from_sender ? key->daddr : key->saddr, 16);
	s->family = key->family;
	s->ssrc = bpf_ntohl(ssrc);
	c = bpf_map_lookup_elem(&controls, s);
	if (c)
		return c;
	bpf_map_update_elem(&controls, s, &state->fresh_control, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&controls, s);
	if (!c)
		state->control_refused++;
	return c;
}

#define INCREASE(field, n) __sync_fetch_and_add(&(field), n)

struct report_block {
	__be32 ssrc;
	__be32 lost; /* fraction, cumulative */
	__be32 highest, jitter, lsr, dlsr;
};

__noinline int report_blocks(struct __sk_buff *skb, struct state *state, struct flow_key *key, __u32 at,
				    __u32 blocks)
{
	struct source s = {};
	struct report_block b;
	struct control *c;

	if (!state || !key)
		return 0;
	for (int i = 0; i < MAX_BLOCKS && i < blocks; i++) {
		if (load(skb, at + i * sizeof(b), &b, sizeof(b)))
			return 0;
		c = control_of(state, &s, key, b.ssrc, 0);
		if (!c)
			continue;
		INCREASE(c->receiver_reports, 1);
		c->receiver_ktime = bpf_ktime_get_ns();
		c->fraction_lost = bpf_ntohl(b.lost) >> 24;
		c->cumulative_lost = bpf_ntohl(b.lost) & 0xffffff;
		c->extended_highest = bpf_ntohl(b.highest);
		c->reported_jitter = bpf_ntohl(b.jitter);
	}
	return 0;
}

struct sender_info {
	__be32 ssrc, ntp_seconds, ntp_fraction, timestamp, packets, octets;
};

__noinline int sender_report(struct __sk_buff *skb, struct state *state, struct flow_key *key, __u32 at)
{
	struct sender_info info;
	struct source s = {};
	struct control *c;

	if (!state || !key || load(skb, at, &info, sizeof(info)))
		return 0;
	c = control_of(state, &s, key, info.ssrc, 1);
	if (!c)
		return 0;
	INCREASE(c->sender_reports, 1);
	c->sender_ktime = bpf_ktime_get_ns();
	c->ntp = (__u64)bpf_ntohl(info.ntp_seconds) << 32 | bpf_ntohl(info.ntp_fraction);
	c->rtp_timestamp = bpf_ntohl(info.timestamp);
	c->sender_packets = bpf_ntohl(info.packets);
	c->sender_octets = bpf_ntohl(info.octets);
	return 0;
}

static __always_inline int ones(__u16 bits)
{
	int n = 0;

	for (int i = 0; i < 16; i++)
		n += bits >> i & 1;
	return n;
}

/* One packet of a compound. */
struct part {
	__u32 at, size;
	__u8 type, format;
	__u16 pad;
};

/* Feedback: the media's source, then, for NACK and FIR, entries. */
__noinline int feedback(struct __sk_buff *skb, struct state *state, struct flow_key *key, struct part *p)
{
	struct source s = {};
	struct control *c;
	__be32 media, entry[2];
	__u32 asked = 0;

	if (!state || !key || !p)
		return 0;
	if (p->type == RTCP_PSFB && p->format == FMT_FIR) {
		/* Each entry names a source; the field of the header is unused. */
		for (int i = 0; i < MAX_NACKS && 12 + i * 8 + 8 <= p->size; i++) {
			if (load(skb, p->at + 12 + i * 8, entry, sizeof(entry)))
				return 0;
			c = control_of(state, &s, key, entry[0], 0);
			if (c)
				INCREASE(c->fir, 1);
		}
		return 0;
	}
	if (load(skb, p->at + 8, &media, sizeof(media)))
		return 0;
	if (p->type == RTCP_PSFB && p->format == FMT_PLI) {
		c = control_of(state, &s, key, media, 0);
		if (c)
			INCREASE(c->pli, 1);
	} else if (p->type == RTCP_RTPFB && p->format == FMT_NACK) {
		c = control_of(state, &s, key, media, 0);
		if (!c)
			return 0;
		for (int i = 0; i < MAX_NACKS && 12 + i * 4 + 4 <= p->size; i++) {
			if (load(skb, p->at + 12 + i * 4, entry, 4))
				break;
			asked += 1 + ones(bpf_ntohl(entry[0]));
		}
		INCREASE(c->nack, 1);
		INCREASE(c->nack_packets, asked);
	}
	return 0;
}

struct rtcp_head {
	__u8 first, type;
	__be16 words; /* of 32 bits that follow these */
	__be32 ssrc;
};

__noinline int bye(struct state *state, struct flow_key *key, __be32 ssrc)
{
	struct source s = {};
	struct control *c;

	if (!state || !key)
		return 0;
	c = control_of(state, &s, key, ssrc, 1);
	if (c)
		INCREASE(c->byes, 1);
	return 0;
}

/* RFC 3550, A.2: the lengths must add up to the packet's. */
__noinline int adds_up(struct __sk_buff *skb, __u32 at, __u32 size)
{
	struct rtcp_head h;
	__u32 bytes;

	for (int i = 0; i < MAX_PACKETS; i++) {
		if (size < sizeof(h) || load(skb, at, &h, sizeof(h)) || h.first >> 6 != 2)
			return false;
		bytes = (bpf_ntohs(h.words) + 1) * 4;
		if (bytes == size)
			return true;
		if (bytes > size)
			return false;
		size -= bytes;
		at += bytes;
	}
	return false;
}

__noinline int rtcp(struct __sk_buff *skb, struct flow_key *key, __u32 at, __u32 size)
{
	struct rtcp_head h;
	struct state *state;
	struct part p = {};
	__u32 zero = 0, bytes;

	state = bpf_map_lookup_elem(&states, &zero);
	if (!key || !state)
		return 0;
	if (!adds_up(skb, at, size)) {
		state->malformed++;
		return 0;
	}
	for (int i = 0; i < MAX_PACKETS && size >= sizeof(h); i++) {
		if (load(skb, at, &h, sizeof(h)))
			return 0;
		bytes = (bpf_ntohs(h.words) + 1) * 4;
		switch (h.type) {
		case RTCP_SR:
			sender_report(skb, state, key, at + 4);
			report_blocks(skb, state, key, at + 28, h.first & 31);
			break;
		case RTCP_RR:
			report_blocks(skb, state, key, at + 8, h.first & 31);
			break;
		case RTCP_RTPFB:
		case RTCP_PSFB:
			p.at = at;
			p.size = bytes;
			p.type = h.type;
			p.format = h.first & 31;
			feedback(skb, state, key, &p);
			break;
		case RTCP_BYE:
			bye(state, key, h.ssrc);
			break;
		}
		if (bytes >= size)
			return 0;
		size -= bytes;
		at += bytes;
	}
	return 0;
}
